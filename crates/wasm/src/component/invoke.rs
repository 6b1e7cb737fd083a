//! Calls one function with arguments as text, and prints what it returns.
//!
//! The text is WAVE, the WebAssembly Value Encoding.

use super::{ComponentState, stdio};
use lighter_types::runner_protocol::Failure;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{Func, Type, Val};
use wasmtime::{Store, bail};

/// Parses the arguments by the function's types.
///
/// # Errors
/// [`Failure::InvalidInvoke`] with the signature if their number or a type is wrong.
pub(crate) fn parse(
    function: &ComponentFunc,
    name: &str,
    arguments: &[String],
) -> Result<Vec<Val>, Failure> {
    let invalid = |reason: String| Failure::InvalidInvoke {
        reason: format!("{reason}; the function is {}", signature(function, name)),
    };
    let parameters = function.params();
    if parameters.len() != arguments.len() {
        return Err(invalid(format!(
            "{name} takes {} arguments, not {}",
            parameters.len(),
            arguments.len()
        )));
    }
    std::iter::zip(parameters, arguments)
        .map(|((parameter, ty), text)| {
            Val::from_wave(&ty, text).map_err(|error| {
                let name = type_name(&ty);
                let quotes = match ty {
                    Type::String => " (text is written in double quotes)",
                    _ => "",
                };
                invalid(format!(
                    "argument {parameter} is no {name}: {error:#}{quotes}"
                ))
            })
        })
        .collect()
}

/// Calls the function and prints its result, if it has one, as one line.
///
/// # Errors
/// What the guest's trap was, or a result that has no text form.
pub(crate) async fn call(
    store: &mut Store<ComponentState>,
    function: &Func,
    arguments: &[Val],
) -> wasmtime::Result<u8> {
    let mut results = vec![Val::Bool(false); function.ty(&*store).results().len()];
    function
        .call_async(&mut *store, arguments, &mut results)
        .await?;
    for result in &results {
        let Ok(text) = result.to_wave() else {
            bail!("the result has no text form: it is a resource, stream or future");
        };
        stdio::print(&format!("{text}\n"))?;
    }
    Ok(0)
}

fn signature(function: &ComponentFunc, name: &str) -> String {
    let parameters: Vec<String> = function
        .params()
        .map(|(parameter, ty)| format!("{parameter}: {}", type_name(&ty)))
        .collect();
    let result = function
        .results()
        .next()
        .map(|ty| format!(" -> {}", type_name(&ty)))
        .unwrap_or_default();
    let prefix = if function.async_() { "async " } else { "" };
    format!("{name}: {prefix}func({}){result}", parameters.join(", "))
}

fn type_name(ty: &Type) -> String {
    wasmtime::component::wasm_wave::wasm::DisplayType(ty).to_string()
}
