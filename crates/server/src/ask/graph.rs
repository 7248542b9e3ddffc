use vivace_base::UnixNanos;
use vivace_query::ServiceGraphRequest;

use super::{InvalidQuestion, When};

/// Who calls whom: the last hour when nobody says when.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServiceGraphQuestion {
    /// When.
    pub(crate) when: When,
}

impl ServiceGraphQuestion {
    /// What the engine is to do.
    ///
    /// # Errors
    /// [`InvalidQuestion`] says which part is wrong.
    pub(crate) fn request(&self, now: UnixNanos) -> Result<ServiceGraphRequest, InvalidQuestion> {
        let (start, end) = self.when.bounds(now)?;
        Ok(ServiceGraphRequest::new(start, end))
    }
}
