//! The sizes of what is fetched.

/// How many files of which length.
pub(crate) struct Sizes {
    pub(super) small: (u64, u64),
    pub(super) middle: (u64, u64),
    pub(super) big: u64,
}

impl Sizes {
    pub(crate) fn new(is_quick: bool) -> Sizes {
        if is_quick {
            return Sizes {
                small: (100, 4096),
                middle: (3, 1 << 20),
                big: 8 << 20,
            };
        }
        Sizes {
            small: (5000, 4096),
            middle: (200, 1 << 20),
            big: 2 << 30,
        }
    }

    pub(crate) fn files(&self) -> [(&'static str, u64, u64); 3] {
        [
            ("small", self.small.0, self.small.1),
            ("middle", self.middle.0, self.middle.1),
            ("big", 1, self.big),
        ]
    }
}
