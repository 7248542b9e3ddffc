use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use vivace_model::{TenantId, Tenants};

/// Tenants counted one by one; the others share a label, so that ids cannot fill memory.
pub(super) const MAX_TENANTS: usize = 1000;
const OTHER: &str = "_other";
/// Who asks for the data of several tenants together.
const SEVERAL: &str = "_several";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TenantLabel {
    pub(super) tenant: String,
}

/// The tenants that have a label of their own.
#[derive(Debug, Default)]
pub(super) struct TenantLabels(Mutex<HashSet<TenantId>>);

impl TenantLabels {
    pub(super) fn of(&self, tenant: &TenantId) -> TenantLabel {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_counted =
            known.contains(tenant) || (known.len() < MAX_TENANTS && known.insert(tenant.clone()));
        TenantLabel { tenant: if is_counted { tenant.as_str() } else { OTHER }.to_owned() }
    }

    pub(super) fn of_all(&self, tenants: &Tenants) -> TenantLabel {
        let mut each = tenants.iter();
        match (each.next(), each.next()) {
            (Some(only), None) => self.of(only),
            _ => TenantLabel { tenant: SEVERAL.to_owned() },
        }
    }
}
