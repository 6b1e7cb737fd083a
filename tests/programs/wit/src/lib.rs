//! Nothing is built of this: see the manifest.
