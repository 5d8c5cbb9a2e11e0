//! Who used the processor during a phase: the load side, the measured server, Postgres, anybody else. It tells whether
//! a rate was bounded by work or by waiting, and by whose work; and whether the machine was ours. Linux only;
//! elsewhere it is absent.

use std::fs;

/// The processes whose shares are told apart.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    /// The measured server, if there is one.
    pub server: Option<u32>,
    /// The parent of all server processes of Postgres.
    pub postmaster: u32,
}

/// Clock ticks, as `/proc` counts them.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    all: u64,
    idle: u64,
    load: u64,
    server: u64,
    postgres: u64,
}

/// Shares of the processors during a phase, in percent of one core.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// This process and those it has waited for (pgbench).
    pub load: f64,
    /// The measured server.
    pub server: f64,
    /// Postgres.
    pub postgres: f64,
    /// Everything else that was busy: the kernel's own threads, and whoever else uses the machine.
    pub others: f64,
    /// Nobody.
    pub idle: f64,
}

/// A running measurement.
#[derive(Debug)]
pub struct Meter {
    processes: Processes,
    begin: Option<Ticks>,
}

impl Meter {
    /// Begins to measure.
    pub fn start(processes: Processes) -> Self {
        Self { processes, begin: read(processes) }
    }

    /// Shares since the start.
    pub fn stop(self) -> Option<Shares> {
        let (begin, end) = (self.begin?, read(self.processes)?);
        let all = end.all.checked_sub(begin.all).filter(|ticks| *ticks > 0)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let percent = |ticks: u64| ticks as f64 / all as f64 * cores as f64 * 100.0;
        let used = |of: fn(&Ticks) -> u64| of(&end).saturating_sub(of(&begin));
        let known = used(|t| t.idle) + used(|t| t.load) + used(|t| t.server) + used(|t| t.postgres);
        Some(Shares {
            load: percent(used(|t| t.load)),
            server: percent(used(|t| t.server)),
            postgres: percent(used(|t| t.postgres)),
            others: percent(all.saturating_sub(known)),
            idle: percent(used(|t| t.idle)),
        })
    }
}

fn read(processes: Processes) -> Option<Ticks> {
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = machine.lines().next()?.split_whitespace().skip(1).flat_map(str::parse).collect();
    let own = Process::read("self")?;
    let server = processes.server.and_then(|pid| Process::read(&pid.to_string()));
    Some(Ticks {
        // user, nice, system, idle, iowait, irq, softirq, steal; guest time is part of user time.
        all: fields.iter().take(8).sum(),
        idle: fields.get(3)? + fields.get(4)?,
        load: own.ticks + own.ended_children_ticks,
        server: server.map_or(0, |process| process.ticks),
        postgres: postgres(processes.postmaster)?,
    })
}

/// All server processes are children of the postmaster, and what ended ones used goes to its account when it has waited
/// for them. One that moves from here to there while it is looked for would be missed or counted twice: look again.
fn postgres(postmaster: u32) -> Option<u64> {
    loop {
        let parent = Process::read(&postmaster.to_string())?;
        let running: u64 = fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| Process::read(entry.ok()?.file_name().to_str()?))
            .filter(|process| process.parent == postmaster)
            .map(|process| process.ticks)
            .sum();
        if Process::read(&postmaster.to_string())?.ended_children_ticks == parent.ended_children_ticks {
            return Some(parent.ticks + parent.ended_children_ticks + running);
        }
    }
}

struct Process {
    parent: u32,
    ticks: u64,
    ended_children_ticks: u64,
}

impl Process {
    fn read(pid: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything. After it: state, parent, …, and from the twelfth on user and
        // system ticks, then those of children that were waited for.
        let after_name: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        let ticks = |at: usize| after_name.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: after_name.get(1)?.parse().ok()?,
            ticks: ticks(11)? + ticks(12)?,
            ended_children_ticks: ticks(13)? + ticks(14)?,
        })
    }
}
