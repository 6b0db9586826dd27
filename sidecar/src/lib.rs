//! An anchor before an unmodified broker.
