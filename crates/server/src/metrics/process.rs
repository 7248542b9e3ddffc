use std::fmt;

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo, boot_time_secs, ticks_per_second};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::encode::{gauge, seconds};

/// What the system knows of this process, under Prometheus' usual names.
#[derive(Debug)]
pub(super) struct ProcessFigures {
    cpu_seconds: f64,
    start_time: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    open_fds: u64,
    max_fds: u64,
}

impl ProcessFigures {
    /// As they are now; [`None`] where the system does not tell.
    pub(super) fn now() -> Option<Self> {
        match Self::read() {
            Ok(figures) => Some(figures),
            Err(error) => {
                tracing::debug!(%error, "the system tells nothing about the process");
                None
            }
        }
    }

    fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let (stat, ticks) = (process.stat()?, ticks_per_second() as f64);
        let max_fds = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(limit) => limit,
            LimitValue::Unlimited => u64::MAX,
        };
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            start_time: boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
            resident_bytes: stat.rss_bytes().get(),
            virtual_bytes: stat.vsize,
            threads: u64::try_from(stat.num_threads).unwrap_or_default(),
            open_fds: process.fd_count()? as u64,
            max_fds,
        })
    }
}

impl Collector for ProcessFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        seconds(&mut encoder, "process_cpu_seconds", "Processor time used", self.cpu_seconds)?;
        let start = ConstGauge::new(self.start_time);
        let help = "When the process started, Unix time";
        start.encode(encoder.encode_descriptor(
            "process_start_time_seconds",
            help,
            None,
            MetricType::Gauge,
        )?)?;
        let gauges = [
            ("process_resident_memory_bytes", "Memory that is resident", self.resident_bytes),
            ("process_virtual_memory_bytes", "Address space", self.virtual_bytes),
            ("process_threads", "Threads", self.threads),
            ("process_open_fds", "Open file descriptors", self.open_fds),
            ("process_max_fds", "File descriptors it may open", self.max_fds),
        ];
        gauges.into_iter().try_for_each(|(name, help, value)| gauge(&mut encoder, name, help, value))
    }
}
