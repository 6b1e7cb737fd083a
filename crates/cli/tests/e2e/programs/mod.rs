//! Real programs, as others published them or as the compilers of many languages make them.

mod built;
mod published;
mod refused;
