//! The settings that the server is started with.
//!
//! They are passed as `-c name=value` at each start and not written to `postgresql.conf`: a newer
//! Holdfast then brings its settings to an old folder, and the file stays the operator's.

use std::fs;

use super::Settings;

const MIB: u64 = 1024 * 1024;

/// A quarter of the memory is what the Postgres manual suggests (`shared_buffers`); beyond 1 GB a
/// server that shares its machine with the service gains little.
const SHARED_BUFFERS_MIB: std::ops::RangeInclusive<u64> = 128..=1024;

/// The same for every cluster. No network at all: the socket's folder is the only door.
const ALWAYS: [(&str, &str); 7] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "200"),
    // Rarer checkpoints: fewer full pages in the log after each, at the price of a longer recovery.
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "15min"),
    ("log_lock_waits", "on"),
    // The log is a plain file of ours, whatever postgresql.conf says.
    ("logging_collector", "off"),
];

/// What makes a commit survive a power cut, and an interrupted write of a page repairable.
const SAFETY: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

/// How full pages are compressed in the log, by what the programs were built with. pglz, which every build has, takes several
/// times as long as lz4, and after a checkpoint most of the log is full pages.
pub(super) fn wal_compression(configure: &str) -> &'static str {
    if configure.contains("--with-lz4") { "lz4" } else { "on" }
}

/// The arguments, in the order in which they win: the operator's come last. `configure`: what the programs were built
/// with.
pub(super) fn arguments(settings: &Settings, configure: &str) -> Vec<String> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| parameters.push((name.to_owned(), value.to_owned()));
    for (name, value) in ALWAYS {
        set(name, value);
    }
    set("wal_compression", wal_compression(configure));
    for name in SAFETY {
        set(name, if settings.durable { "on" } else { "off" });
    }
    let memory_mib = if settings.durable { memory_bytes().map(|bytes| bytes / MIB) } else { None };
    set("shared_buffers", &format!("{}MB", shared_buffers_mib(memory_mib)));
    parameters.extend(settings.parameters.iter().cloned());
    parameters.into_iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
}

/// Unknown memory, and a throwaway cluster, get the least: nothing is cached for long there.
fn shared_buffers_mib(memory_mib: Option<u64>) -> u64 {
    let (least, most) = SHARED_BUFFERS_MIB.into_inner();
    memory_mib.map_or(least, |memory| (memory / 4).clamp(least, most))
}

/// The machine's memory, or the container's limit where that is less. Only Linux tells.
fn memory_bytes() -> Option<u64> {
    let machine = parse_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(container.map_or(machine, |limit: u64| machine.min(limit)))
}

/// `MemTotal:       24607508 kB`, where kB means 1024 bytes.
fn parse_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(arguments: &[String], name: &str) -> Option<String> {
        let prefix = format!("{name}=");
        arguments.iter().rev().find_map(|argument| Some(argument.strip_prefix(&prefix)?.to_owned()))
    }

    #[test]
    fn a_durable_cluster_keeps_every_promise_and_a_throwaway_one_none() {
        for (durable, expected) in [(true, "on"), (false, "off")] {
            let arguments = arguments(&Settings { durable, ..Settings::from_env("x") }, "");
            for name in SAFETY {
                assert_eq!(value_of(&arguments, name).as_deref(), Some(expected), "{name}");
            }
        }
    }

    #[test]
    fn the_log_is_compressed_by_what_the_programs_were_built_with() {
        for (configure, expected) in [("'--with-lz4' '--with-zstd'", "lz4"), ("'--with-ssl=openssl'", "on"), ("", "on")]
        {
            let arguments = arguments(&Settings::from_env("x"), configure);
            assert_eq!(value_of(&arguments, "wal_compression").as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_operators_setting_comes_last() {
        let parameters = vec![("max_connections".to_owned(), "20".to_owned())];
        let arguments = arguments(&Settings { parameters, ..Settings::from_env("x") }, "");
        assert_eq!(value_of(&arguments, "max_connections").as_deref(), Some("20"));
        assert_eq!(arguments[arguments.len() - 2], "-c");
    }

    #[test]
    fn shared_buffers_are_a_quarter_within_bounds() {
        assert_eq!(parse_meminfo("MemFree: 1 kB\nMemTotal:       2097152 kB\n"), Some(2048 * MIB));
        let sizes = [None, Some(256), Some(2048), Some(65_536)].map(shared_buffers_mib);
        assert_eq!(sizes, [128, 128, 512, 1024]);
    }
}
