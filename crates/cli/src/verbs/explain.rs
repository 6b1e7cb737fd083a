//! `lighter explain`.

use crate::arguments::{ExplainArguments, Program};
use crate::flags::{EngineFlags, environment, program};
use crate::printer::{self, Format, Reporter, memory, size};
use crate::settings;
use lighter_engine::{Engine, Error, ExplainOptions, Explanation};
use lighter_types::escape::escape;
use lighter_types::exit;
use lighter_types::grant::{
    DnsServer, HostGrant, NamePattern, NetGrant, NetHost, NetworkMode, Publish,
};
use lighter_types::limits::{Limits, NANO_CPU};
use lighter_types::network::Reach;
use lighter_types::runner_protocol::{ImportFact, ImportState};
use serde_json::json;
use std::time::Duration;

pub(crate) fn explain(flags: &EngineFlags, arguments: ExplainArguments) -> u8 {
    let format = arguments.format.format;
    match try_explain(flags, arguments) {
        Err(error) => printer::failure(&error),
        Ok((explanation, given)) => {
            let is_runnable = explanation.refusal.is_none();
            let printed = match format {
                Format::Text => printer::out(&text(&explanation, &given)),
                Format::Json => printer::json(&as_json(&explanation, &given)),
            };
            if is_runnable {
                printed
            } else {
                exit::NOT_RUNNABLE
            }
        }
    }
}

/// The names of what the flags give besides directories; never a value.
struct Given {
    environment: Vec<String>,
    settings: Vec<String>,
    secrets: Vec<String>,
    has_network: bool,
    network: NetworkMode,
    destinations: Vec<NetGrant>,
    lookups: Vec<NamePattern>,
    hosts: Vec<HostGrant>,
    name_servers: Vec<DnsServer>,
    credentials: Vec<String>,
    authorities: Vec<String>,
    certificate: Option<String>,
    ceilings: Vec<Reach>,
    published: Vec<Publish>,
    limits: Limits,
    time_limit: Option<Duration>,
}

/// Where the host shows a port.
fn publish_text(publish: &Publish) -> String {
    let ports = match publish.host_ports {
        None => "a free port".to_owned(),
        Some(ports) if publish.is_chosen_by_host() => format!("a free one of the ports {ports}"),
        Some(ports) => format!("port {ports}"),
    };
    let place = match publish.host_address {
        None => "of the host, on all its addresses".to_owned(),
        Some(address) => format!("of {address}"),
    };
    let protocol = publish.protocol.name();
    format!(
        "its port {}/{protocol} is {ports} {place}",
        publish.container_ports
    )
}

fn try_explain(
    flags: &EngineFlags,
    arguments: ExplainArguments,
) -> Result<(Explanation, Given), Error> {
    let Program::Words(words) = arguments.program;
    let (source, _) = program(words)?;
    let configuration = settings::read(flags)?;
    let grants = arguments.grants.grants(&configuration)?;
    let given = Given {
        environment: environment(&grants)?
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        settings: grants
            .settings()
            .map(|setting| setting.key.clone())
            .collect(),
        secrets: grants.secrets().map(|secret| secret.name.clone()).collect(),
        has_network: grants.has_network(),
        network: grants.network(),
        destinations: grants.destinations().cloned().collect(),
        lookups: grants.lookups().cloned().collect(),
        hosts: grants.hosts().cloned().collect(),
        name_servers: grants.name_servers().copied().collect(),
        credentials: grants
            .credentials()
            .map(|credential| format!("{} ({})", credential.host, credential.field))
            .collect(),
        authorities: grants.authorities().map(ToString::to_string).collect(),
        certificate: arguments
            .http
            .tls()
            .map(|tls| tls.certificate.to_string_lossy().into_owned()),
        ceilings: configuration.engine.ceilings.clone(),
        published: grants.published().copied().collect(),
        limits: arguments.limits.limits()?,
        time_limit: arguments.limits.time_limit()?,
    };
    // They open nothing; wrong ones are told.
    arguments.http.settings()?;
    let tls = arguments.http.tls();
    let options = ExplainOptions {
        program: source,
        grants: grants.clone(),
        limits: given.limits,
        tls,
        invoke: arguments.process.invoke,
    };
    let explanation = Engine::open(configuration.engine)?.explain(
        &options,
        &settings::variable,
        &mut Reporter::new(grants),
    )?;
    Ok((explanation, given))
}

fn text(explanation: &Explanation, given: &Given) -> String {
    let facts = &explanation.facts;
    let mut text = format!(
        "{}\n  kind:    {}\n  size:    {}\n  digest:  {}\n  entry:   {}\n",
        explanation.program,
        facts.kind.name(),
        size(explanation.size_bytes),
        explanation.digest,
        facts
            .entry
            .as_deref()
            .map_or_else(|| "none (call a function with --invoke)".to_owned(), escape),
    );
    text.push_str("\nIt imports:\n");
    for (interface, state) in grouped(&facts.imports, given.has_network) {
        text.push_str(&format!("  {interface}: {state}\n"));
    }
    if facts.imports.is_empty() {
        text.push_str("  nothing\n");
    }
    push_cut(&mut text, facts.imports.len(), facts.import_count);
    text.push_str("\nIt exports:\n");
    for export in facts.exports.iter().take(SHOWN_EXPORTS) {
        text.push_str(&format!("  {}\n", escape(export)));
    }
    if facts.exports.is_empty() {
        text.push_str("  nothing\n");
    }
    push_cut(
        &mut text,
        facts.exports.len().min(SHOWN_EXPORTS),
        facts.export_count,
    );
    push_given(&mut text, explanation, given);
    for warning in &explanation.warnings {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    let limits = limits_text(given);
    if !limits.is_empty() {
        text.push_str(&format!("\nIt may use:\n  {limits}\n"));
    }
    text.push('\n');
    match &explanation.refusal {
        None => text.push_str("It would run.\n"),
        Some(error) => {
            text.push_str(&format!("It would not run: {}\n", printer::reason(error)));
            for detail in error.details() {
                text.push_str(&format!("  {detail}\n"));
            }
            if let Some(hint) = error.hint() {
                text.push_str(&format!("hint: {hint}\n"));
            }
        }
    }
    text
}

/// What the flags and the configuration give.
fn push_given(text: &mut String, explanation: &Explanation, given: &Given) {
    text.push_str("\nIt is given:\n  standard streams, arguments, clocks, randomness\n");
    for (what, names) in [
        ("environment", &given.environment),
        ("wasi:config", &given.settings),
        ("secrets, in /run/secrets and wasi:config", &given.secrets),
    ] {
        if !names.is_empty() {
            text.push_str(&format!("  {what}: {}\n", escape(&names.join(", "))));
        }
    }
    for directory in &explanation.directories {
        let source = directory.source.as_ref().map_or_else(
            || "memory".to_owned(),
            |source| escape(&source.to_string_lossy()),
        );
        let mode = if directory.is_writable {
            "read and write"
        } else {
            "read only"
        };
        text.push_str(&format!(
            "  {}: {source}, {mode}\n",
            escape(&directory.target)
        ));
    }
    if explanation.directories.is_empty() && given.secrets.is_empty() {
        text.push_str("  no files (-v SOURCE:TARGET gives some)\n");
    }
    push_network(text, given);
}

/// What of the network they give.
fn push_network(text: &mut String, given: &Given) {
    if !given.has_network {
        text.push_str(match given.network {
            NetworkMode::None => "  no network (--network none)\n",
            NetworkMode::Bridge | NetworkMode::Host => {
                "  no network (--allow-net HOST:PORT and -p PORT give some)\n"
            }
        });
        return;
    }
    for grant in &given.destinations {
        let which = match grant.host {
            NetHost::Name(NamePattern::Any) => " (any public address)",
            NetHost::Name(_) => " (where it is public, or --add-host says it is)",
            NetHost::Address(_) | NetHost::Network(_) => "",
        };
        let is_open = given
            .ceilings
            .iter()
            .all(|ceiling| ceiling.leaves_some_of(grant));
        if is_open {
            text.push_str(&format!("  may reach {grant}{which}\n"));
        } else {
            text.push_str(&format!("  may not reach {grant}: [ceiling] forbids it\n"));
        }
    }
    for pattern in &given.lookups {
        let mut ceilings = given.ceilings.iter();
        if ceilings.all(|ceiling| ceiling.leaves_some_names_of(pattern)) {
            text.push_str(&format!("  may look up {pattern}\n"));
        } else {
            text.push_str(&format!(
                "  may not look up {pattern}: [ceiling] forbids it\n"
            ));
        }
    }
    for host in &given.hosts {
        text.push_str(&format!("  finds {} at {}\n", host.name, host.answer()));
    }
    for server in &given.name_servers {
        text.push_str(&format!("  has names looked up by {server}\n"));
    }
    for credential in &given.credentials {
        text.push_str(&format!(
            "  a credential on its requests to {credential}, which it does not see\n"
        ));
    }
    for authority in &given.authorities {
        text.push_str(&format!(
            "  believes the authorities in {} too\n",
            escape(authority)
        ));
    }
    if let Some(certificate) = &given.certificate {
        text.push_str(&format!(
            "  serves TLS with the certificate in {}\n",
            escape(certificate)
        ));
    }
    for ceiling in &given.ceilings {
        let or_none = |texts: Vec<String>, none: &str| match texts.is_empty() {
            true => none.to_owned(),
            false => texts.join(", "),
        };
        let reach = or_none(texts(&ceiling.destinations), "no address");
        let names = or_none(texts(&ceiling.lookups), "no name besides");
        text.push_str(&format!(
            "  nothing of it beyond [ceiling]: reaches {reach}; looks up {names}\n"
        ));
    }
    if given.network == NetworkMode::Host {
        let reaches = match given.destinations.is_empty() {
            true => ", and it reaches nothing by itself",
            false => "",
        };
        text.push_str(&format!("  its ports are the host's{reaches}\n"));
        return;
    }
    for publish in &given.published {
        text.push_str(&format!("  {}\n", publish_text(publish)));
    }
}

/// What bounds the program, in one line.
fn limits_text(given: &Given) -> String {
    let limits = given.limits;
    let memory = limits
        .memory_bytes
        .map(|bytes| format!("{} of memory", memory(bytes)));
    let processors = limits
        .nano_cpus
        .map(|cpus| format!("the time of {} processors", cpus as f64 / NANO_CPU as f64));
    let threads = limits.threads.map(|most| format!("{most} threads"));
    let time = given.time_limit.map(|time| format!("{time:?}"));
    let all: Vec<String> = [memory, processors, threads, time]
        .into_iter()
        .flatten()
        .collect();
    all.join(", ")
}

/// The most exports that are shown; JSON has all that were listed.
const SHOWN_EXPORTS: usize = 40;

fn push_cut(text: &mut String, shown: usize, count: u32) {
    let more = usize::try_from(count)
        .unwrap_or(usize::MAX)
        .saturating_sub(shown);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
}

/// Imports of a core module by their module, with the items that stand out.
fn grouped(imports: &[ImportFact], has_network: bool) -> Vec<(String, String)> {
    let mut groups: Vec<(String, String, Vec<&str>)> = Vec::new();
    for import in imports {
        let interface = escape(&import.interface);
        let state = state_text(&import.state, has_network);
        let item = import.item.as_deref();
        match groups
            .iter_mut()
            .find(|(name, known, _)| *name == interface && *known == state)
        {
            Some((_, _, items)) => items.extend(item),
            None => groups.push((interface, state, item.into_iter().collect())),
        }
    }
    groups
        .into_iter()
        .map(|(interface, state, items)| match items.as_slice() {
            [] => (interface, state),
            [one] => (format!("{interface}.{}", escape(one)), state),
            many if state.starts_with("provided") => {
                (format!("{interface} ({} functions)", many.len()), state)
            }
            many => {
                let names: Vec<String> = many.iter().map(|item| escape(item)).collect();
                (format!("{interface} ({})", names.join(", ")), state)
            }
        })
        .collect()
}

fn state_text(state: &ImportState, has_network: bool) -> String {
    match state {
        ImportState::Provided(set) => format!("provided ({})", escape(set)),
        ImportState::NeedsGrant { set, .. } if has_network => {
            format!("provided ({})", escape(set))
        }
        ImportState::NeedsGrant { set, flags } => format!(
            "provided ({}), every use refused without {}",
            escape(set),
            escape(flags)
        ),
        ImportState::Stubbed => "a trap on use (--stub)".to_owned(),
        ImportState::Denied => "withheld (--deny)".to_owned(),
        ImportState::Missing => "missing: nobody provides it".to_owned(),
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn as_json(explanation: &Explanation, given: &Given) -> serde_json::Value {
    let facts = &explanation.facts;
    let imports: Vec<_> = facts
        .imports
        .iter()
        .map(|import| {
            json!({
                "Interface": import.interface,
                "Item": import.item,
                "State": state_text(&import.state, given.has_network),
                "Missing": matches!(import.state, ImportState::Missing | ImportState::Denied),
            })
        })
        .collect();
    let directories: Vec<_> = explanation
        .directories
        .iter()
        .map(|directory| {
            json!({
                "Target": directory.target,
                "Source": directory.source,
                "Writable": directory.is_writable,
            })
        })
        .collect();
    json!({
        "Program": explanation.program,
        "Kind": facts.kind.name(),
        "Size": explanation.size_bytes,
        "Digest": explanation.digest.to_string(),
        "Entry": facts.entry,
        "Imports": imports,
        "ImportCount": facts.import_count,
        "Exports": facts.exports,
        "ExportCount": facts.export_count,
        "Environment": given.environment,
        "Settings": given.settings,
        "Secrets": given.secrets,
        "Mounts": directories,
        "Network": given.has_network.then(|| given.network.to_string()),
        "AllowNet": texts(&given.destinations),
        "AllowDns": texts(&given.lookups),
        "AddHost": texts(&given.hosts),
        "Dns": texts(&given.name_servers),
        "Ceiling": given.ceilings.iter().map(|ceiling| json!({
            "AllowNet": texts(&ceiling.destinations),
            "AllowDns": texts(&ceiling.lookups),
        })).collect::<Vec<_>>(),
        "Publish": texts(&given.published),
        "Warnings": explanation.warnings,
        "Memory": given.limits.memory_bytes,
        "NanoCpus": given.limits.nano_cpus,
        "PidsLimit": given.limits.threads,
        "TimeoutSeconds": given.time_limit.map(|time| time.as_secs_f64()),
        "WouldRun": explanation.refusal.is_none(),
        "Refusal": explanation.refusal.as_ref().map(printer::reason),
        "Missing": explanation.refusal.as_ref().map(|error| error.details().to_vec()),
    })
}
