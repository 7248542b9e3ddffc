use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::encode::gauge;
use super::tenants::MAX_TENANTS;
use crate::limits::TenantLimits;

/// What every tenant may use, at the moment of a scrape.
#[derive(Debug)]
pub(super) struct LimitValues(pub(super) Arc<TenantLimits>);

impl Collector for LimitValues {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "Limits of tenants that have none of their own; times in nanoseconds, 0 for no limit";
        let mut defaults =
            encoder.encode_descriptor("tempo_limits_defaults", help, None, MetricType::Gauge)?;
        for (key, value) in self.0.defaults().figures() {
            ConstGauge::new(value).encode(defaults.encode_family(&[("limit_name", key.name)])?)?;
        }
        let overrides = self.0.overrides();
        let help = "Limits that the overrides file sets, by tenant; * is everyone else";
        let mut family =
            encoder.encode_descriptor("tempo_limits_overrides", help, None, MetricType::Gauge)?;
        for (user, tenant) in overrides.all().take(MAX_TENANTS) {
            for (key, value) in tenant.limits.figures().filter(|(key, _)| tenant.is_set(key)) {
                let labels = [("limit_name", key.name), ("user", user)];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        let Some(is_current) = self.0.is_current() else { return Ok(()) };
        let (name, help) =
            ("tempo_runtime_config_last_reload_successful", "Whether the overrides file was read well");
        gauge(&mut encoder, name, help, u64::from(is_current))
    }
}
