//! How a race is run.

/// How many there are of each. The producers share the items evenly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) producers: usize,
    pub(crate) consumers: usize,
    pub(crate) items: u64,
}
