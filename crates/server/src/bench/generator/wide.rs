use super::mesh::Mesh;
use super::protobuf::Writer;
use super::random::hash;

/// Distinct keys that are added.
pub(super) const KEYS: usize = 10_000;
/// How many of them a span has; at times the same twice, which is then left out.
const PER_SPAN: u64 = 3;

/// The attribute keys of a mesh whose every team has its own, some often used and most hardly ever.
#[derive(Debug)]
pub(super) struct WideKeys {
    of_service: Vec<Vec<String>>,
}

impl WideKeys {
    pub(super) fn new(mesh: &Mesh) -> Self {
        let each = KEYS / mesh.services.len();
        let keys = |app: &str, namespace: &str| {
            (0..each).map(|n| format!("{namespace}.{app}.detail{n:03}")).collect::<Vec<_>>()
        };
        Self {
            of_service: mesh.services.iter().map(|service| keys(service.app, service.namespace)).collect(),
        }
    }

    /// Writes the attributes of the span `id` of a service.
    pub(super) fn write(&self, out: &mut Writer, field: u32, service: usize, id: u64) {
        let keys = &self.of_service[service];
        let mut last = usize::MAX;
        for number in 0..PER_SPAN {
            let bits = hash(id, number + 1);
            // squared, so that the first keys are frequent
            let uniform = (bits >> 11) as f64 / (1u64 << 53) as f64;
            let at = ((uniform * uniform * keys.len() as f64) as usize).min(keys.len() - 1);
            if at == last {
                continue;
            }
            last = at;
            let value = bits & 0x3ff;
            let key = &keys[at];
            match at % 4 {
                0 => out.text(field, key, VALUES[value as usize % VALUES.len()]),
                1 => out.integer(field, key, value),
                2 => out.double(field, key, value as f64 / 4.0),
                _ => out.truth(field, key, value.is_multiple_of(2)),
            }
        }
    }
}

const VALUES: [&str; 8] =
    ["standard", "express", "economy", "pending", "confirmed", "refused", "north", "south"];
