use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use vivace_base::Lock;
use vivace_model::TenantId;

use super::{CheckContext, CheckError, Finding, Report};
use crate::wal::{self, Inspection};
use crate::{Seq, WalError};

/// Per tenant, up to which record of which log its spans are in blocks.
pub(super) type Covered = BTreeMap<TenantId, BTreeMap<String, Seq>>;

/// Keeps servers from the log; [`None`] when there is no log.
pub(super) fn lock(context: &CheckContext, dir: &Path) -> Result<Option<Lock>, CheckError> {
    let path = dir.join("lock");
    match context.files.lock(&path) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(WalError::Locked { dir: dir.to_owned() }.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(WalError::io("lock", path, error).into()),
    }
}

/// Reads every record. Nothing is changed: a server that starts on the log skips what is damaged, and puts its segment
/// aside.
pub(super) fn check(
    context: &CheckContext,
    dir: &Path,
    covered: &Covered,
    report: &mut Report,
) -> Result<(), CheckError> {
    let mut uncovered = 0_u64;
    let found = wal::inspect(context.files.as_ref(), dir, |writer, tenant, seq| {
        let through = covered.get(tenant).and_then(|logs| logs.get(writer)).copied().unwrap_or(0);
        uncovered += u64::from(seq > through);
    })?;
    let Some(Inspection { segments, records, torn, damaged, put_aside }) = found else {
        report.add(Finding::note(dir.display(), "there is no write-ahead log"));
        return Ok(());
    };
    report.counts.log_segments = segments;
    report.counts.log_records = records;
    report.counts.log_records_uncovered = uncovered;
    for error in damaged {
        report.add(match error {
            WalError::Corrupt { path, offset, reason, lost } => {
                Finding::damage(format_args!("{}:{offset}", path.display()), reason).losing(lost)
            }
            other => Finding::damage(dir.display(), other),
        });
    }
    if let Some((path, bytes)) = torn {
        let torn = format!("ends in {bytes} bytes that are no record: they were never acknowledged");
        report.add(Finding::note(path.display(), torn));
    }
    for path in put_aside {
        report.add(Finding::note(path.display(), "was put aside for damage found earlier; may be deleted"));
    }
    Ok(())
}
