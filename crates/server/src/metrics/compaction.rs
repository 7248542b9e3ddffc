use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use vivace_base::UnixNanos;
use vivace_storage::{CompactionStats, LevelStats, TenantBacklog};

use super::encode::{counter, counters, gauge, gauges, histogram, seconds};
use super::tenants::MAX_TENANTS;

/// Name, help and value of a metric.
type Figure<T> = (&'static str, &'static str, fn(&T) -> u64);

/// What becomes of blocks, as it is at the moment of a scrape.
#[derive(Debug)]
pub(super) struct Compaction {
    pub(super) stats: CompactionStats,
    pub(super) now: UnixNanos,
}

/// Labels of the levels that are counted.
const LEVELS: [&str; 3] = ["0", "1", "2"];

impl Collector for Compaction {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.encode_jobs(&mut encoder)?;
        self.encode_backlog(&mut encoder)?;
        let stats = &self.stats;
        let counts = [
            ("tempodb_compaction_errors", "Compactions that failed and are repeated", stats.errors),
            (
                "vivace_compaction_memory_waits",
                "Compactions put off for want of memory",
                stats.waits_for_memory,
            ),
            (
                "vivace_compaction_gave_way",
                "Compactions given up since queries needed the memory",
                stats.gave_way,
            ),
            (
                "vivace_compaction_vain_jobs",
                "Compactions whose inputs were gone at their end",
                stats.jobs_in_vain,
            ),
            ("tempodb_retention_marked_for_deletion", "Blocks past their retention", stats.blocks_expired),
            (
                "tempodb_retention_deleted",
                "Blocks deleted after they were merged or dropped",
                stats.blocks_deleted,
            ),
            ("tempodb_retention_errors", "Deletions that failed and are repeated", stats.delete_errors),
            ("vivace_orphans_deleted", "Blocks deleted that no catalog names", stats.orphans_deleted),
        ];
        for (name, help, value) in counts {
            counter(&mut encoder, name, help, value)?;
        }
        let help = "Time of turns in which blocks were dropped and deleted";
        histogram(&mut encoder, "tempodb_retention_duration_seconds", help, &stats.retention)?;
        let help = "Time spent on compaction, rests included";
        seconds(&mut encoder, "vivace_compaction_seconds", help, stats.busy.as_secs_f64())
    }
}

impl Compaction {
    fn encode_jobs(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let figures: [Figure<LevelStats>; 6] = [
            ("tempodb_compaction_blocks", "Blocks merged", |level| level.blocks),
            ("tempodb_compaction_bytes_written", "Bytes of the blocks made of them", |level| {
                level.bytes_written
            }),
            ("tempodb_compaction_objects_written", "Traces in them", |level| level.traces_written),
            ("tempodb_compaction_objects_combined", "Traces put together of several parts", |level| {
                level.traces_joined
            }),
            ("tempodb_compaction_spans_deduped", "Spans that were there twice", |level| {
                level.rows_read.saturating_sub(level.rows_written)
            }),
            ("vivace_compaction_rows", "Spans read to be merged", |level| level.rows_read),
        ];
        for (name, help, of) in figures {
            let values =
                self.stats.levels.iter().zip(LEVELS).map(|(level, label)| ("level", label, of(level)));
            counters(encoder, name, help, &values.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn encode_backlog(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let figures: [Figure<TenantBacklog>; 2] = [
            ("tempodb_blocklist_length", "Blocks there are", |tenant| tenant.blocks),
            ("tempodb_compaction_outstanding_blocks", "Blocks that wait to be merged", |tenant| {
                tenant.outstanding
            }),
        ];
        for (name, help, of) in figures {
            let values = self.stats.backlog.iter().take(MAX_TENANTS);
            let values = values.map(|tenant| ("tenant", tenant.tenant.as_str(), of(tenant)));
            gauges(encoder, name, help, &values.collect::<Vec<_>>())?;
        }
        let oldest = self.stats.backlog.iter().filter_map(|tenant| tenant.oldest).min();
        let age = oldest.map_or(0, |oldest| self.now.saturating_sub(oldest) / 1_000_000_000);
        gauge(encoder, "vivace_compaction_backlog_age_seconds", "Age of the oldest block that waits", age)
    }
}
