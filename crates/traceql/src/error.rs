use vivace_base::ErrorKind;

/// Which check refused a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorStage {
    /// The text is not in the language.
    Parse,
    /// The text is in the language, but means nothing: types do not fit, a pattern is wrong, a number out of range.
    Validate,
    /// The query means something that is not supported.
    Unsupported,
}

/// Why a query was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} at line {line}, col {column}: {message}", self.stage.label())]
pub struct TraceqlError {
    /// Which check refused it.
    pub stage: ErrorStage,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1. One past the last character where the text ends too early.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl ErrorStage {
    fn label(self) -> &'static str {
        match self {
            Self::Parse => "parse error",
            Self::Validate => "validation error",
            Self::Unsupported => "unsupported",
        }
    }
}

impl TraceqlError {
    /// Always [`ErrorKind::InvalidInput`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    /// An error about the text at byte `offset`, which lies on a character boundary.
    pub(crate) fn new(stage: ErrorStage, text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let count = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
        Self {
            stage,
            line: count(before.matches('\n').count()),
            column: count(column),
            message: message.into(),
        }
    }
}
