//! The mesh that is simulated: forty services in five namespaces behind an ingress gateway. Two namespaces have
//! waypoints instead of sidecars. The mesh is the same for every seed, so that queries can name its services.

use std::collections::BTreeSet;
use std::ops::Range;

use super::random::{Random, uuid};

/// Namespace, services with language, resource they serve, and tier: 1 is called by the gateway, 3 calls nobody.
type Row = (&'static str, &'static str, &'static str, &'static str, u8);

#[rustfmt::skip]
const SERVICES: [Row; 37] = [
    ("shop", "storefront", "nodejs", "pages", 1), ("shop", "mobile-api", "go", "sessions", 1),
    ("shop", "catalog", "java", "products", 2), ("shop", "search", "go", "queries", 2),
    ("shop", "cart", "dotnet", "carts", 2), ("shop", "recommendations", "python", "items", 2),
    ("shop", "reviews", "java", "reviews", 2), ("shop", "pricing", "go", "prices", 3),
    ("shop", "inventory", "java", "stock", 3), ("shop", "images", "rust", "images", 3),
    ("payments", "checkout", "java", "orders", 1), ("payments", "payment", "java", "payments", 2),
    ("payments", "fraud", "python", "scores", 2), ("payments", "ledger", "go", "entries", 3),
    ("payments", "invoices", "java", "invoices", 3), ("payments", "currency", "rust", "rates", 3),
    ("payments", "vouchers", "ruby", "vouchers", 3),
    ("logistics", "shipping", "go", "shipments", 2), ("logistics", "tracking", "nodejs", "parcels", 2),
    ("logistics", "warehouse", "java", "bins", 3), ("logistics", "routing", "rust", "routes", 3),
    ("logistics", "carriers", "python", "quotes", 3), ("logistics", "returns", "java", "returns", 2),
    ("logistics", "addresses", "go", "addresses", 3),
    ("identity", "login", "go", "logins", 1), ("identity", "accounts", "java", "accounts", 2),
    ("identity", "profiles", "nodejs", "profiles", 2), ("identity", "tokens", "go", "tokens", 3),
    ("identity", "consent", "java", "consents", 3), ("identity", "audit", "go", "records", 3),
    ("analytics", "dashboards", "python", "boards", 1), ("analytics", "events", "go", "events", 2),
    ("analytics", "reports", "python", "reports", 2), ("analytics", "segments", "python", "segments", 3),
    ("analytics", "features", "rust", "features", 3), ("analytics", "exports", "java", "exports", 3),
    ("analytics", "experiments", "python", "variants", 2),
];
/// Namespaces whose services have no sidecars and are called through a waypoint.
const AMBIENT: [&str; 2] = ["logistics", "analytics"];
const METHODS: [(&str, bool); 4] = [("GET", false), ("GET", true), ("POST", false), ("PUT", true)];
const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];
const DATABASES: [&str; 3] = ["postgresql", "redis", "mongodb"];
/// The mesh's own seed.
const SEED: u64 = 0x6d65_7368;

const MICROSECOND: u64 = 1_000;

/// A workload of the mesh.
#[derive(Debug)]
pub(super) struct Service {
    /// `cart`
    pub(super) app: &'static str,
    pub(super) namespace: &'static str,
    /// `service.name` as Istio sets it: `cart.shop`.
    pub(super) name: String,
    /// `cart.shop.svc.cluster.local`
    pub(super) host: String,
    /// `telemetry.sdk.language`; empty for gateways and waypoints, which are proxies only.
    pub(super) language: &'static str,
    /// Indexes of its pods.
    pub(super) pods: Range<usize>,
    /// The waypoint's index, when it is called through one and has no sidecar.
    pub(super) waypoint: Option<usize>,
    pub(super) database: &'static str,
    tier: u8,
}

/// A pod of a service.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) service: usize,
    pub(super) name: String,
    pub(super) ip: String,
    pub(super) uid: String,
    pub(super) node: String,
    pub(super) zone: &'static str,
    pub(super) version: &'static str,
    /// Envoy's node id; Kiali takes the workload from its third part.
    pub(super) node_id: String,
}

/// Something a service does when asked.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) service: usize,
    pub(super) method: &'static str,
    /// `/api/v1/carts/{id}`
    pub(super) route: String,
    /// `GET /api/v1/carts/{id}`
    pub(super) span_name: String,
    /// `/api/v1/carts`, followed by an id or not.
    pub(super) path: String,
    pub(super) has_id: bool,
    /// Median of its own work, in nanoseconds.
    pub(super) work: u64,
    /// Median size of its answer, in bytes.
    pub(super) size: u64,
    /// `SELECT … FROM carts …`
    pub(super) statement: String,
    /// Calls that run at the same time, not one after the other.
    pub(super) parallel: bool,
    pub(super) steps: Vec<Step>,
}

/// A part of an operation, done so many times in a thousand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Call {
        operation: usize,
        permille: u64,
    },
    Query {
        permille: u64,
    },
    Compute {
        permille: u64,
    },
    /// A message to a queue that this operation's service consumes.
    Publish {
        operation: usize,
        permille: u64,
    },
}

/// Everything that does not change.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) services: Vec<Service>,
    pub(super) pods: Vec<Pod>,
    pub(super) operations: Vec<Operation>,
    /// What the gateway calls.
    pub(super) entries: Vec<usize>,
    /// What calls nobody.
    pub(super) leaves: Vec<usize>,
    /// Index of the ingress gateway's service.
    pub(super) gateway: usize,
}

impl Mesh {
    pub(super) fn new() -> Self {
        let mut mesh = Self {
            services: Vec::new(),
            pods: Vec::new(),
            operations: Vec::new(),
            entries: Vec::new(),
            leaves: Vec::new(),
            gateway: 0,
        };
        let mut random = Random::new(SEED, 0);
        mesh.add_service(&mut random, ("istio-system", "istio-ingressgateway", "", "", 0));
        let waypoints = AMBIENT.map(|namespace| {
            mesh.add_service(&mut random, (namespace, "waypoint", "", "", 0));
            (namespace, mesh.services.len() - 1)
        });
        for row in SERVICES {
            mesh.add_service(&mut random, row);
        }
        for service in &mut mesh.services {
            let found = waypoints.iter().find(|(namespace, _)| *namespace == service.namespace);
            service.waypoint = found.filter(|_| service.tier > 0).map(|(_, waypoint)| *waypoint);
        }
        mesh.connect(&mut random);
        mesh
    }

    fn add_service(&mut self, random: &mut Random, (namespace, app, language, noun, tier): Row) {
        let first_pod = self.pods.len();
        let index = self.services.len();
        let versions = if random.chance(250) { &["v1", "v2"][..] } else { &["v1"] };
        for number in 0..random.within(2..4).max(versions.len()) {
            self.pods.push(pod(random, index, (namespace, app), versions[number % versions.len()]));
        }
        if tier > 0 {
            for (method, has_id) in METHODS {
                self.operations.push(operation(random, index, noun, method, has_id));
            }
        }
        self.services.push(Service {
            app,
            namespace,
            name: format!("{app}.{namespace}"),
            host: format!("{app}.{namespace}.svc.cluster.local"),
            language,
            pods: first_pod..self.pods.len(),
            waypoint: None,
            database: DATABASES[random.within(0..DATABASES.len())],
            tier,
        });
    }

    fn connect(&mut self, random: &mut Random) {
        let tier = |wanted: u8| -> Vec<usize> {
            let of_tier = |index: &usize| self.services[self.operations[*index].service].tier == wanted;
            (0..self.operations.len()).filter(of_tier).collect()
        };
        let [entries, middle, leaves] = [tier(1), tier(2), tier(3)];
        let (mut next_middle, mut next_leaf) = (Turns::new(&middle), Turns::new(&leaves));
        for &index in &entries {
            let call = |random: &mut Random| Step::Call {
                operation: next_middle.next(random),
                permille: 340 + random.below(450),
            };
            self.operations[index].steps = repeat(random, 1..4, call);
        }
        let called = |step: &Step| match step {
            Step::Call { operation, .. } => Some(*operation),
            _ => None,
        };
        let used = |operation: &Operation| operation.steps.iter().filter_map(called).collect::<Vec<_>>();
        let reached: BTreeSet<usize> =
            entries.iter().flat_map(|index| used(&self.operations[*index])).collect();
        for &index in &reached {
            let call = |random: &mut Random| Step::Call {
                operation: next_leaf.next(random),
                permille: 240 + random.below(450),
            };
            let mut steps = repeat(random, 0..3, call);
            steps.push(Step::Query { permille: 400 });
            steps.push(Step::Compute { permille: 150 });
            if random.chance(150) {
                steps.push(Step::Publish { operation: next_leaf.next(random), permille: 300 });
            }
            self.operations[index].steps = steps;
        }
        for &index in &leaves {
            self.operations[index].steps =
                vec![Step::Query { permille: 800 }, Step::Compute { permille: 100 }];
        }
        (self.entries, self.leaves) = (entries, leaves);
    }
}

/// Takes services in turns, so that none is left out, and any operation of theirs.
struct Turns<'a> {
    operations: &'a [usize],
    turn: usize,
}

impl<'a> Turns<'a> {
    fn new(operations: &'a [usize]) -> Self {
        Self { operations, turn: 0 }
    }

    fn next(&mut self, random: &mut Random) -> usize {
        // a service's operations lie together
        let first = self.turn * METHODS.len() % self.operations.len();
        self.turn += 1;
        self.operations[first + random.within(0..METHODS.len())]
    }
}

/// Some steps, as many as `range` allows.
fn repeat(random: &mut Random, range: Range<usize>, mut step: impl FnMut(&mut Random) -> Step) -> Vec<Step> {
    (0..random.within(range)).map(|_| step(random)).collect()
}

fn pod(random: &mut Random, service: usize, (namespace, app): (&str, &str), version: &'static str) -> Pod {
    let (replica_set, suffix) = (random.bits() as u32, random.bits() as u32 & 0xf_ffff);
    let name = format!("{app}-{version}-{replica_set:08x}-{suffix:05x}");
    let (zone, machine) = (random.within(0..ZONES.len()), random.within(0..4));
    let ip = format!("10.{}.{}.{}", 32 + zone, machine + 1, 2 + random.below(250));
    let proxy = match app {
        "istio-ingressgateway" => "router",
        "waypoint" => "waypoint",
        _ => "sidecar",
    };
    Pod {
        service,
        node_id: format!("{proxy}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"),
        name,
        ip,
        uid: uuid([random.bits(), random.bits()]),
        node: format!("node-{}-{machine}", ZONES[zone]),
        zone: ZONES[zone],
        version,
    }
}

fn operation(
    random: &mut Random,
    service: usize,
    noun: &str,
    method: &'static str,
    has_id: bool,
) -> Operation {
    let path = format!("/api/v1/{noun}");
    let route = if has_id { format!("{path}/{{id}}") } else { path.clone() };
    let statement = match (method, has_id) {
        ("POST", _) => format!(
            "INSERT INTO {noun} (id, owner, body, created, changed) VALUES ($1, $2, $3, now(), now())"
        ),
        ("PUT", _) => format!("UPDATE {noun} SET body = $2, changed = now() WHERE id = $1"),
        (_, true) => format!("SELECT id, owner, body, created, changed FROM {noun} WHERE id = $1"),
        _ => format!(
            "SELECT id, owner, changed FROM {noun} WHERE owner = $1 ORDER BY changed DESC LIMIT 50 OFFSET $2"
        ),
    };
    Operation {
        service,
        method,
        span_name: format!("{method} {route}"),
        route,
        path,
        has_id,
        work: (300 + random.below(4_000)) * MICROSECOND,
        size: 100 + random.below(20_000),
        statement,
        parallel: random.chance(250),
        steps: Vec::new(),
    }
}
