//! What is printed: every number that was measured, the wanted ratios between them, and marks. A number never makes the
//! program fail; only an account that does not agree does.

use std::fmt;

use hdrhistogram::Histogram;

use crate::cpu::Shares;

/// One measurement of one row, in one round.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Answers or transactions per second.
    pub per_second: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// Latency of the slowest hundredth, in milliseconds.
    pub p99_ms: f64,
    /// Who used the processor.
    pub cpu: Option<Shares>,
}

impl Sample {
    /// From latencies in microseconds.
    pub fn new(per_second: f64, latency: &Histogram<u64>, cpu: Option<Shares>) -> Self {
        let millis = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
        Self { per_second, p50_ms: millis(0.5), p99_ms: millis(0.99), cpu }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}/s   p50 {:>8.3} ms   p99 {:>8.3} ms", thousands(self.per_second), self.p50_ms, self.p99_ms)
    }
}

/// The share of one core from which on other programs spoil the numbers; the kernel's own threads stay below.
const DISTURBED_PERCENT: f64 = 20.0;

/// What is measured, once a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// pgbench, all on one SKU.
    YardstickHot,
    /// pgbench, over all SKUs.
    YardstickSpread,
    /// pgbench, one client.
    YardstickLone,
    /// Reservations of one SKU.
    Hot,
    /// Reservations over all SKUs.
    Spread,
    /// Reservations of one SKU over one connection, measured right after the yardstick's.
    Lone,
    /// The bare route.
    BareRoute,
    /// Availability of one SKU.
    Availability,
    /// A file of lots over HTTP.
    Import,
    /// COPY of the rows that it made.
    RawCopy,
    /// Orders from an upstream, copied and claimed.
    Mirrored,
    /// COPY of the rows that they made.
    CopiedOrders,
    /// The same orders looked through again, unchanged.
    MirroredAgain,
    /// Hot, on empty tables.
    EmptyTables,
    /// Hot, with millions of reservations in the tables.
    FullTables,
    /// The best minute of the steady load.
    SteadyBest,
    /// Its last minute.
    SteadyLast,
    /// The first minute on a freshly migrated database.
    NeverAnalysed,
    /// A minute on the same after ANALYZE.
    Analysed,
    /// Lot transactions by COPY, in one transaction.
    CopiedMovements,
    /// Shipment lines of one day, depleted by closing it.
    ClosedDay,
    /// The first days that a pool closes.
    FirstDay,
    /// Days that follow a year of closed days.
    DayAfterAYear,
}

impl Subject {
    fn label(self) -> &'static str {
        match self {
            Self::YardstickHot => "yardstick (a), one SKU",
            Self::YardstickSpread => "yardstick (b), 10,000 SKUs",
            Self::YardstickLone => "yardstick, one client",
            Self::Hot => "reserve, hot",
            Self::Spread => "reserve, spread",
            Self::Lone => "reserve, lone",
            Self::BareRoute => "bare route",
            Self::Availability => "availability",
            Self::Import => "import, rows of CSV",
            Self::RawCopy => "raw COPY of the same rows",
            Self::Mirrored => "orders mirrored, claimed",
            Self::CopiedOrders => "raw COPY of their rows",
            Self::MirroredAgain => "the same orders, unchanged",
            Self::EmptyTables => "hot, empty tables",
            Self::FullTables => "hot, full tables",
            Self::SteadyBest => "steady, best minute",
            Self::SteadyLast => "steady, last minute",
            Self::NeverAnalysed => "fresh, never analysed",
            Self::Analysed => "the same after ANALYZE",
            Self::CopiedMovements => "lot transactions by COPY",
            Self::ClosedDay => "lines of a day closed",
            Self::FirstDay => "close, first days",
            Self::DayAfterAYear => "close, after a year",
        }
    }
}

/// A ratio that is wanted of two subjects.
#[derive(Debug)]
enum Bound {
    /// Throughput at least so many times that of the other.
    ThroughputAtLeast(f64),
    /// Median latency at most so many times that of the other.
    MedianAtMost(f64),
}

const WANTED: [(Subject, Bound, Subject); 12] = [
    (Subject::Hot, Bound::ThroughputAtLeast(12.0), Subject::YardstickHot),
    (Subject::Spread, Bound::ThroughputAtLeast(3.0), Subject::YardstickSpread),
    (Subject::Lone, Bound::MedianAtMost(1.5), Subject::YardstickLone),
    (Subject::Availability, Bound::ThroughputAtLeast(0.7), Subject::BareRoute),
    (Subject::Import, Bound::ThroughputAtLeast(0.3), Subject::RawCopy),
    (Subject::Mirrored, Bound::ThroughputAtLeast(0.25), Subject::CopiedOrders),
    (Subject::MirroredAgain, Bound::ThroughputAtLeast(3.0), Subject::Mirrored),
    (Subject::FullTables, Bound::ThroughputAtLeast(0.9), Subject::EmptyTables),
    (Subject::SteadyLast, Bound::ThroughputAtLeast(0.95), Subject::SteadyBest),
    (Subject::NeverAnalysed, Bound::ThroughputAtLeast(0.9), Subject::Analysed),
    (Subject::ClosedDay, Bound::ThroughputAtLeast(0.5), Subject::CopiedMovements),
    (Subject::DayAfterAYear, Bound::MedianAtMost(1.2), Subject::FirstDay),
];

/// What is wanted of a subject by itself.
const WANTED_PER_SECOND: [(Subject, f64); 1] = [(Subject::Mirrored, 2_000.0)];

/// All samples of one subject at one number of connections, by round.
#[derive(Debug)]
struct Measured {
    subject: Subject,
    connections: usize,
    samples: Vec<Sample>,
}

impl Measured {
    fn median_of(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(of))
    }
}

/// Everything that a run has found out.
#[derive(Debug, Default)]
pub struct Report {
    facts: Vec<String>,
    rows: Vec<Measured>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a line about the machine or the run.
    pub fn fact(&mut self, text: String) {
        self.facts.push(text);
    }

    /// Adds a line below the tables.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Adds one round's sample.
    pub fn record(&mut self, subject: Subject, connections: usize, sample: Sample) {
        eprintln!("  {:<28}{connections:>5}  {sample}", subject.label());
        match self.rows.iter_mut().find(|row| row.subject == subject && row.connections == connections) {
            Some(row) => row.samples.push(sample),
            None => self.rows.push(Measured { subject, connections, samples: vec![sample] }),
        }
    }

    /// The row of `subject` with the best median throughput.
    fn best(&self, subject: Subject) -> Option<&Measured> {
        let rows = self.rows.iter().filter(|row| row.subject == subject);
        rows.max_by(|a, b| a.median_of(|s| s.per_second).total_cmp(&b.median_of(|s| s.per_second)))
    }

    /// The number of connections at which `subject` did best.
    pub fn best_connections(&self, subject: Subject) -> Option<usize> {
        self.best(subject).map(|row| row.connections)
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<28}{:>6}{:>12}{:>20}{:>10}{:>10}   {:>6}{:>8}{:>10}{:>8}{:>6}",
            "", "conns", "per second", "min – max", "p50 ms", "p99 ms", "load", "server", "postgres", "others", "idle"
        )?;
        for row in &self.rows {
            let rates = || row.samples.iter().map(|s| s.per_second);
            let range = format!(
                "{} – {}",
                thousands(rates().fold(f64::INFINITY, f64::min)),
                thousands(rates().fold(0.0, f64::max))
            );
            write!(
                f,
                "{:<28}{:>6}{:>12}{:>20}{:>10.3}{:>10.3}",
                row.subject.label(),
                row.connections,
                thousands(row.median_of(|s| s.per_second)),
                range,
                row.median_of(|s| s.p50_ms),
                row.median_of(|s| s.p99_ms),
            )?;
            let cpu: Vec<Shares> = row.samples.iter().filter_map(|s| s.cpu).collect();
            if !cpu.is_empty() {
                let share = |of: fn(&Shares) -> f64| median(cpu.iter().map(of));
                write!(
                    f,
                    "   {:>5.0}%{:>7.0}%{:>9.0}%{:>7.0}%{:>5.0}%",
                    share(|c| c.load),
                    share(|c| c.server),
                    share(|c| c.postgres),
                    share(|c| c.others),
                    share(|c| c.idle)
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn write_wanted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        for (subject, bound, other) in &WANTED {
            let (Some(row), Some(base)) = (self.best(*subject), self.best(*other)) else { continue };
            let number = |sample: &Sample| match bound {
                Bound::ThroughputAtLeast(_) => sample.per_second,
                Bound::MedianAtMost(_) => sample.p50_ms,
            };
            // Round by round: what slows the whole machine for a while slows both sides.
            let ratios: Vec<f64> = row.samples.iter().zip(&base.samples).map(|(a, b)| number(a) / number(b)).collect();
            let name = format!("{} ({}) / {}", subject.label(), row.connections, other.label());
            lines.push(match bound {
                Bound::ThroughputAtLeast(least) => {
                    wanted_line(&name, &format!("≥ {least}"), &ratios, |m| m >= *least)
                }
                Bound::MedianAtMost(most) => wanted_line(&name, &format!("≤ {most}"), &ratios, |m| m <= *most),
            });
        }
        for (subject, least) in &WANTED_PER_SECOND {
            let Some(row) = self.best(*subject) else { continue };
            let rates: Vec<f64> = row.samples.iter().map(|s| s.per_second).collect();
            let name = format!("{} per second", subject.label());
            lines.push(wanted_line(&name, &format!("≥ {least}"), &rates, |measured| measured >= *least));
        }
        // Only above a first line: a run of the yardstick alone compares nothing.
        if !lines.is_empty() {
            writeln!(f, "\n{:<50}{:>10}{:>10}{:>18}", "wanted", "bound", "measured", "min – max")?;
        }
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn wanted_line(name: &str, bound: &str, rounds: &[f64], holds: impl Fn(f64) -> bool) -> String {
    let measured = median(rounds.iter().copied());
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(0.0, f64::max);
    let mark = if holds(measured) { "PASS" } else { "short" };
    format!("{name:<50}{bound:>10}{measured:>10.3}{:>18}   {mark}", format!("{least:.3} – {most:.3}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Holdfast throughput")?;
        for fact in &self.facts {
            writeln!(f, "  {fact}")?;
        }
        writeln!(f)?;
        self.write_table(f)?;
        writeln!(f, "\nAll but min – max are medians over the rounds; load to idle are shares of one core.")?;
        let others = self.rows.iter().flat_map(|row| &row.samples).filter_map(|s| s.cpu).map(|c| c.others);
        let others = others.fold(0.0, f64::max);
        if others > DISTURBED_PERCENT {
            writeln!(f, "Others used up to {others:.0}% of a core: absolute numbers are too low, ratios are rough.")?;
        }
        self.write_wanted(f)?;
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// A whole number with its thousands set apart.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
