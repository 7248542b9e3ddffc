use std::collections::HashMap;

use ahash::RandomState;

/// How many names are told apart.
pub(super) const MAX_NAMES: usize = 16_384;
/// Longer names are cut.
const MAX_NAME_BYTES: usize = 256;
/// Who calls a root when nothing says who.
const USER: &str = "user";

/// Names of services, numbered as they come.
#[derive(Debug)]
pub struct Names {
    numbers: HashMap<Box<str>, u32, RandomState>,
    texts: Vec<Box<str>>,
    /// The number of the caller that nothing names.
    pub(super) user: u32,
    bytes: usize,
    overflown: bool,
}

impl Default for Names {
    fn default() -> Self {
        let mut names =
            Self { numbers: HashMap::default(), texts: Vec::new(), user: 0, bytes: 0, overflown: false };
        names.user = names.number(USER).unwrap_or_default();
        names
    }
}

impl Names {
    /// The number of a name; [`None`] for the empty one, and once there are too many.
    pub fn number(&mut self, name: &str) -> Option<u32> {
        let name = &name[..name.floor_char_boundary(MAX_NAME_BYTES)];
        if let Some(known) = self.numbers.get(name) {
            return Some(*known);
        }
        if name.is_empty() {
            return None;
        }
        if self.texts.len() == MAX_NAMES {
            self.overflown = true;
            return None;
        }
        let number = self.texts.len() as u32;
        self.numbers.insert(name.into(), number);
        self.texts.push(name.into());
        self.bytes += name.len();
        Some(number)
    }

    /// The name with a number.
    pub fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", AsRef::as_ref)
    }

    /// The names by their numbers.
    pub fn texts(&self) -> &[Box<str>] {
        &self.texts
    }

    /// Bytes of all names.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there were more than are told apart.
    pub fn overflown(&self) -> bool {
        self.overflown
    }
}
