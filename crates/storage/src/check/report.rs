use serde::Serialize;

/// How many findings are told one by one.
const MAX_FINDINGS: usize = 10_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How much was looked at.
    pub counts: Counts,
    /// What is not as it should be, or worth a note, in the order it was found.
    pub findings: Vec<Finding>,
    /// Findings that are too many to be told.
    pub findings_left_out: u64,
    /// Whether there is damage, told or not, repaired or not.
    pub damaged: bool,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Tenants that have a folder.
    pub tenants: u64,
    /// Blocks that catalogs name.
    pub blocks: u64,
    /// Spans read from them.
    pub spans: u64,
    /// Bytes of their objects.
    pub bytes: u64,
    /// Spans that are in a second block too, about; they are left out of answers, and of blocks once they are merged.
    pub repeated_spans: u64,
    /// Segments of the log.
    pub log_segments: u64,
    /// Their records.
    pub log_records: u64,
    /// Those of them that are in no block yet.
    pub log_records_uncovered: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Object or file, with the byte where that is known.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What is lost by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// What was done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong with it.
    Note,
    /// Something does not check out.
    Damage,
}

impl Report {
    /// Adds a finding.
    pub(super) fn add(&mut self, finding: Finding) {
        self.damaged |= finding.severity == Severity::Damage;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }
}

impl Finding {
    /// Damage.
    pub(super) fn damage(place: impl ToString, problem: impl ToString) -> Self {
        Self {
            severity: Severity::Damage,
            place: place.to_string(),
            problem: problem.to_string(),
            lost: None,
            done: None,
        }
    }

    /// Something that may well be.
    pub(super) fn note(place: impl ToString, problem: impl ToString) -> Self {
        Self { severity: Severity::Note, ..Self::damage(place, problem) }
    }

    /// With what is lost by it.
    pub(super) fn losing(self, lost: impl ToString) -> Self {
        Self { lost: Some(lost.to_string()), ..self }
    }

    /// With what was done about it.
    pub(super) fn done(self, done: impl ToString) -> Self {
        Self { done: Some(done.to_string()), ..self }
    }
}
