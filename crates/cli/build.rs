//! Puts the functions of a warm start beside each other (`scripts/start-order`).

fn main() {
    println!("cargo:rerun-if-changed=start.ld");
    println!("cargo:rustc-link-arg-bins=-T");
    // Of the workspace, where Cargo runs the compiler: a target directory may serve several checkouts.
    println!("cargo:rustc-link-arg-bins=crates/cli/start.ld");
    println!("cargo:rerun-if-env-changed=LIGHTER_LINK_MAP");
    if let Ok(map) = std::env::var("LIGHTER_LINK_MAP") {
        println!("cargo:rustc-link-arg-bins=-Wl,-Map={map}");
    }
}
