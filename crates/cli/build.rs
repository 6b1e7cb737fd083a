//! Puts the functions of a warm start beside each other (`scripts/start-order`).

fn main() {
    let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rerun-if-changed=start.ld");
    println!("cargo:rustc-link-arg-bins=-T");
    println!("cargo:rustc-link-arg-bins={directory}/start.ld");
    println!("cargo:rerun-if-env-changed=LIGHTER_LINK_MAP");
    if let Ok(map) = std::env::var("LIGHTER_LINK_MAP") {
        println!("cargo:rustc-link-arg-bins=-Wl,-Map={map}");
    }
}
