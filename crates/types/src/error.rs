//! The closed list of kinds that every public error belongs to.

/// What sort of failure an error is. Mapped once to an HTTP status, once to a ttrpc code and
/// once to an exit code, each by the front that needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named thing does not exist.
    NotFound,
    /// It exists already, or is in a state that excludes the request.
    Conflict,
    /// The request itself is wrong: a flag, a name, a grant, a file's content.
    InvalidInput,
    /// Who asks is not known.
    Unauthorized,
    /// Who asks is known and may not.
    Forbidden,
    /// Something needed does not answer at present.
    Unavailable,
    /// The request makes sense, but not on this system or in this version.
    Unsupported,
    /// A limit was reached: time, memory, space, count.
    LimitReached,
    /// The caller withdrew the request.
    Cancelled,
    /// A fault of our own.
    Internal,
}
