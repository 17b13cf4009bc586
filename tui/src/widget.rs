//! What screens are made of. None of them knows the model.

pub mod confirm;
pub mod dialog;
pub mod form;
pub mod help;
pub mod json;
pub mod line;
pub mod log;
pub mod notice;
pub mod spark;
pub mod table;
