//! Components.

mod command;
mod denied;
mod files;
mod guests;
mod invoke;
mod links;
mod stdio;
