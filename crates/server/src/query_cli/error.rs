use reqwest::StatusCode;
use vivace_base::ErrorKind;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    /// The flags do not make a request.
    #[error("{0}")]
    Usage(String),
    /// The server said no.
    #[error("{url} answered {status}: {text}")]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// The server's own words.
        text: String,
    },
    /// The answer is larger than this program holds.
    #[error(
        "the answer of {url} is larger than {limit} bytes: lower --limit or --spss, or narrow the time range"
    )]
    TooLarge {
        /// What was asked.
        url: String,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// Not what Tempo's API says.
    #[error(
        "{url} did not answer as Tempo's API does ({reason}): is this the address of a Tempo or Vivace server?"
    )]
    NotTheApi {
        /// What was asked.
        url: String,
        /// What was expected and where it was not.
        reason: String,
    },
    /// No connection, or it broke.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The chain of causes.
        reason: String,
    },
}

impl QueryError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Usage(_) | Self::Refused { .. } => ErrorKind::InvalidInput,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::NotTheApi { .. } => ErrorKind::Corrupt,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
        }
    }

    /// The process's exit status; the list stands in the help of `vivace query`.
    pub(crate) fn exit_code(&self) -> u8 {
        match (self, self.kind()) {
            (Self::Usage(_), _) => 2,
            (_, ErrorKind::Unavailable) => 4,
            _ => 3,
        }
    }
}
