use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use object_store::ObjectStore;
use tokio::sync::Notify;
use vivace_base::{ErrorKind, Randomness};
use vivace_model::TenantId;

use super::Catalog;
use crate::CatalogError;
use crate::limits::{MAX_TENANTS, TENANTS_OPENED_AT_ONCE};
use crate::paths::{tenant_of, tenants_prefix};

/// The catalogs of all tenants this process serves.
#[derive(Debug)]
pub struct Catalogs {
    store: Arc<dyn ObjectStore>,
    randomness: Arc<dyn Randomness>,
    /// A tenant whose catalog is damaged keeps its error, and its requests get it.
    open: RwLock<BTreeMap<TenantId, Result<Arc<Catalog>, CatalogError>>>,
    opening: tokio::sync::Mutex<()>,
    changed: Arc<Notify>,
}

impl Catalogs {
    /// Lists the tenants and opens each one's catalog. A damaged catalog is logged and kept from that tenant only.
    ///
    /// # Errors
    /// [`CatalogError::Store`] when the store does not answer.
    pub async fn open_all(
        store: Arc<dyn ObjectStore>,
        randomness: Arc<dyn Randomness>,
    ) -> Result<Self, CatalogError> {
        let prefix = tenants_prefix();
        let listed = store.list_with_delimiter(Some(&prefix)).await;
        let listed = listed.map_err(|e| CatalogError::store("list", &prefix, e))?;
        let tenants: Vec<TenantId> = listed.common_prefixes.iter().filter_map(tenant_of).collect();
        let changed = Arc::<Notify>::default();
        let opened = futures::stream::iter(tenants)
            .map(|tenant| {
                let (store, randomness) = (Arc::clone(&store), Arc::clone(&randomness));
                async move { (tenant.clone(), Catalog::open(store, tenant, randomness).await) }
            })
            .buffer_unordered(TENANTS_OPENED_AT_ONCE);
        let opened: Vec<_> = opened.collect().await;
        let mut open = BTreeMap::new();
        for (tenant, catalog) in opened {
            match &catalog {
                Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error.clone()),
                Err(error) => tracing::error!(%tenant, %error, "this tenant's blocks cannot be read"),
                Ok(_) => {}
            }
            open.insert(tenant, catalog.map(|catalog| shared(catalog, &changed)));
        }
        Ok(Self { store, randomness, open: RwLock::new(open), opening: tokio::sync::Mutex::new(()), changed })
    }

    /// A tenant's catalog; [`None`] for a tenant that has never had a block here.
    ///
    /// # Errors
    /// What was found wrong when the tenant's catalog was opened.
    pub fn get(&self, tenant: &TenantId) -> Result<Option<Arc<Catalog>>, CatalogError> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned().transpose()
    }

    /// A tenant's catalog, opened if it is new here.
    ///
    /// # Errors
    /// [`CatalogError`] when it cannot be opened, or [`CatalogError::TooManyTenants`].
    pub async fn get_or_create(&self, tenant: &TenantId) -> Result<Arc<Catalog>, CatalogError> {
        if let Some(catalog) = self.get(tenant)? {
            return Ok(catalog);
        }
        let _one_at_a_time = self.opening.lock().await;
        if let Some(catalog) = self.get(tenant)? {
            return Ok(catalog);
        }
        if self.open.read().unwrap_or_else(PoisonError::into_inner).len() >= MAX_TENANTS {
            return Err(CatalogError::TooManyTenants { tenant: tenant.clone(), limit: MAX_TENANTS });
        }
        let catalog =
            Catalog::open(Arc::clone(&self.store), tenant.clone(), Arc::clone(&self.randomness)).await?;
        let catalog = shared(catalog, &self.changed);
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(tenant.clone(), Ok(Arc::clone(&catalog)));
        Ok(catalog)
    }

    /// Waits until a catalog has a snapshot that the last wait did not see. For one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Every tenant known here, in order.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

fn shared(catalog: Catalog, changed: &Arc<Notify>) -> Arc<Catalog> {
    Arc::new(Catalog { changed: Arc::clone(changed), ..catalog })
}
