//! What both benches share: rounds that take turns, medians, tables.

#[path = "figures.rs"]
mod figures;

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

pub(crate) use figures::*;

/// One way of doing a job; each run gives a figure.
pub(crate) struct Case<'a> {
    name: String,
    run: Box<dyn FnMut() -> f64 + 'a>,
}

/// The same job done in several ways.
pub(crate) struct Job<'a> {
    title: String,
    unit: &'static str,
    cases: Vec<Case<'a>>,
    /// Cases that the others are divided by.
    anchors: Vec<usize>,
}

impl<'a> Job<'a> {
    /// No cases yet.
    pub(crate) fn new(title: impl Into<String>, unit: &'static str) -> Self {
        Self {
            title: title.into(),
            unit,
            cases: Vec::new(),
            anchors: Vec::new(),
        }
    }

    /// Adds a way of doing it.
    #[must_use]
    pub(crate) fn case(mut self, name: impl Into<String>, run: impl FnMut() -> f64 + 'a) -> Self {
        let name = name.into();
        let only = std::env::var("SAMANEA_CASE").unwrap_or_default();
        if name.contains(&only) {
            self.cases.push(Case {
                name,
                run: Box::new(run),
            });
        }
        self
    }

    /// Adds a way of doing it that the others are compared with.
    #[must_use]
    pub(crate) fn anchor(self, name: impl Into<String>, run: impl FnMut() -> f64 + 'a) -> Self {
        let (at, job) = (self.cases.len(), self.case(name, run));
        Self {
            anchors: if job.cases.len() > at {
                job.anchors.iter().copied().chain([at]).collect()
            } else {
                job.anchors.clone()
            },
            ..job
        }
    }

    /// Runs all cases in turn, `rounds` times behind one that does not count, and prints medians
    /// and the medians of the ratios within each round.
    pub(crate) fn report(mut self, rounds: usize) {
        let mut figures: Vec<Vec<f64>> = vec![Vec::new(); self.cases.len()];
        for round in 0..=rounds {
            for (case, figures) in self.cases.iter_mut().zip(&mut figures) {
                let figure = (case.run)();
                if round > 0 || rounds == 0 {
                    figures.push(figure);
                }
            }
        }
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN);
        let ratios = self
            .anchors
            .iter()
            .map(|at| format!("× {}", self.cases[*at].name));
        table.set_header(
            [self.title.clone(), self.unit.into(), "range".into()]
                .into_iter()
                .chain(ratios),
        );
        for (case, own) in self.cases.iter().zip(&figures) {
            let (low, high) = own
                .iter()
                .fold((f64::MAX, f64::MIN), |(l, h), f| (l.min(*f), h.max(*f)));
            let mut row = vec![
                case.name.clone(),
                shown(median(own.clone())),
                format!("{} – {}", shown(low), shown(high)),
            ];
            for anchor in &self.anchors {
                let ratios = own
                    .iter()
                    .zip(&figures[*anchor])
                    .map(|(own, other)| own / other);
                row.push(format!("{:.2}", median(ratios.collect())));
            }
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let rounds = rounds.max(1);
        println!("{table}\n\n(medians of {rounds} rounds)\n");
    }
}

fn shown(figure: f64) -> String {
    match figure {
        f if f >= 10_000.0 => format!("{f:.0}"),
        f if f >= 100.0 => format!("{f:.1}"),
        f if f >= 1.0 => format!("{f:.2}"),
        f => format!("{f:.3}"),
    }
}
