//! User id to home, the same answer on every origin.
