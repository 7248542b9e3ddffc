//! What each tenant may use, as the configuration and the overrides file say, which is read again while the server
//! runs. Everybody who enforces a limit asks here, each time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vivace_ingest::{IngestPolicies, IngestPolicy};
use vivace_model::{TenantId, Tenants};
use vivace_query::{QueryPolicies, QueryPolicy};
use vivace_storage::{TenantPolicies, TenantPolicy};

use crate::config::{Config, ConfigError, Limits, Overrides};

mod rate;

pub(crate) use rate::{RateLimited, RateLimiter};

/// The limits of all tenants.
#[derive(Debug)]
pub(crate) struct TenantLimits {
    defaults: Limits,
    longest_deadline: Duration,
    file: Option<PathBuf>,
    overrides: RwLock<Arc<Overrides>>,
    /// Why the file could not be read the last time.
    failure: Mutex<Option<String>>,
}

impl TenantLimits {
    /// Reads the overrides file, if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong with it.
    pub(crate) fn load(config: &Config) -> Result<Arc<Self>, ConfigError> {
        let limits = Self {
            defaults: config.limits.clone(),
            longest_deadline: config.removed_block_retention(),
            file: config.per_tenant_override_config.clone(),
            overrides: RwLock::new(Arc::new(Overrides::none(&config.limits))),
            failure: Mutex::default(),
        };
        if let Some(read) = limits.read()? {
            limits.put(read);
        }
        Ok(Arc::new(limits))
    }

    /// What holds for a tenant now.
    pub(crate) fn of(&self, tenant: &TenantId) -> Arc<Limits> {
        Arc::clone(&self.overrides().of(tenant).limits)
    }

    /// What holds now for a question about several tenants: the strictest of each limit.
    pub(crate) fn of_all(&self, tenants: &Tenants) -> Arc<Limits> {
        let overrides = self.overrides();
        let limits = tenants.iter().map(|tenant| Arc::clone(&overrides.of(tenant).limits));
        let strictest = limits.reduce(|one, other| Arc::new(one.strictest(&other)));
        strictest.unwrap_or_else(|| Arc::new(self.defaults.clone()))
    }

    /// What holds for tenants that have nothing of their own.
    pub(crate) fn defaults(&self) -> &Limits {
        &self.defaults
    }

    /// What the file said when it was last read well.
    pub(crate) fn overrides(&self) -> Arc<Overrides> {
        Arc::clone(&self.overrides.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether what the file says now is what holds; [`None`] without a file.
    pub(crate) fn is_current(&self) -> Option<bool> {
        self.file.as_ref()?;
        Some(self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_none())
    }

    /// Reads the file again. What is wrong with it is logged, once, and what was read before stays.
    pub(crate) fn reload(&self) {
        let failure = match self.read() {
            Ok(Some(overrides)) => {
                if *self.overrides() != overrides {
                    tracing::info!(tenants = overrides.all().count(), "limits of tenants have changed");
                    self.put(overrides);
                }
                None
            }
            Ok(None) => None,
            Err(error) => Some(error.to_string()),
        };
        let mut before = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &failure
            && before.as_ref() != Some(error)
        {
            tracing::error!(%error, "limits of tenants stay as they were");
        }
        *before = failure;
    }

    fn read(&self) -> Result<Option<Overrides>, ConfigError> {
        let read = |file| Overrides::read(file, &self.defaults, self.longest_deadline);
        self.file.as_deref().map(read).transpose()
    }

    fn put(&self, overrides: Overrides) {
        *self.overrides.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(overrides);
    }

    /// Reads the file again and again until the server stops.
    pub(crate) async fn watch(self: Arc<Self>, period: Duration, stop: CancellationToken) {
        while self.file.is_some() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(period) => {}
            }
            let limits = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || limits.reload()).await {
                tracing::error!(%error, "reading the limits of tenants failed");
            }
        }
    }
}

impl IngestPolicies for TenantLimits {
    fn policy(&self, tenant: &TenantId) -> IngestPolicy {
        let bytes = self.of(tenant).max_attribute_bytes.bytes();
        IngestPolicy { max_attribute_bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }
    }
}

impl QueryPolicies for TenantLimits {
    fn policy(&self, tenants: &Tenants) -> QueryPolicy {
        let limits = self.of_all(tenants);
        QueryPolicy {
            deadline: limits.query_deadline,
            max_bytes_scanned: limits.max_bytes_scanned,
            max_concurrent: limits.max_concurrent_queries,
        }
    }
}

impl TenantPolicies for TenantLimits {
    fn policy(&self, tenant: &TenantId) -> TenantPolicy {
        let limits = self.of(tenant);
        TenantPolicy {
            block_retention: limits.block_retention,
            max_stored_bytes: limits.max_stored_bytes,
            compaction_window: limits.compaction_window,
            compaction_disabled: limits.compaction_disabled,
        }
    }
}

#[cfg(test)]
mod tests;
