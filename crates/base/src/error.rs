use std::time::Duration;

/// What went wrong, in the few words a caller can act on. Each crate's error maps to exactly one kind, and one total
/// map in the server turns kinds into HTTP and gRPC codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong and will stay wrong.
    InvalidInput,
    /// What was asked for does not exist.
    NotFound,
    /// The request or its answer is larger than a limit allows.
    TooLarge,
    /// No room now: memory, queue or rate. Try again later.
    Overloaded,
    /// A dependency (disk, object store) does not answer. Try again later.
    Unavailable,
    /// The deadline passed.
    DeadlineExceeded,
    /// The caller went away.
    Cancelled,
    /// Stored bytes do not check out.
    Corrupt,
    /// A defect of ours.
    Internal,
}

/// What the caller should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request fails again.
    Never,
    /// Worth trying again after this long.
    After(Duration),
}

impl ErrorKind {
    /// The advice that goes with the kind. Five seconds is Tempo's default (`reference/tempo.md` 1.3).
    pub fn retry(self) -> Retry {
        match self {
            Self::Overloaded | Self::Unavailable => Retry::After(Duration::from_secs(5)),
            Self::DeadlineExceeded | Self::Cancelled => Retry::After(Duration::from_secs(1)),
            Self::InvalidInput | Self::NotFound | Self::TooLarge | Self::Corrupt | Self::Internal => {
                Retry::Never
            }
        }
    }
}
