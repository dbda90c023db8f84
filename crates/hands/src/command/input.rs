//! input
/// What a source has.
pub enum Pull<T> {
    /// One.
    Item(T),
    /// Nothing now.
    Pending,
    /// Nothing more.
    End,
}
