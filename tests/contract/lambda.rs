//! Placeholder while the file is written.
