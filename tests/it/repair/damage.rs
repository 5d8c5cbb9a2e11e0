//! What is planted, what is found because of it, and what is appended.

/// One class of damage to the audit's world.
pub struct Damage {
    /// Guards taken down, rows written or edited by hand.
    pub sql: String,
    /// What is found because of it and what becomes of it in the first round, in the plan's order; what is found in any
    /// case left out.
    pub found: &'static [(&'static str, &'static str)],
    /// What the first round leaves, and what becomes of it in the second.
    pub left: &'static [(&'static str, &'static str)],
    /// What is appended, of the SKU that was damaged: sorted.
    pub appended: &'static [&'static str],
    /// Units of SKU 21 sold, and their cost, afterwards.
    pub cogs: (i64, &'static str),
    /// What puts the guards up again, or restores what nobody but a backup knows.
    pub guards: &'static str,
}

/// Where in what is found stands what is found in any case; at its end without.
pub const HERE: (&str, &str) = ("what waits", "");

/// Of the four units that shipment 21 took from lot 21, at 2.50.
const SOLD: (i64, &str) = (4, "10.00");
const FIRST: &str = "20260110";
const SECOND: &str = "20260111";

/// A second depletion of lot 21 on a day, which its index would refuse for the day it has.
pub(super) const DEPLETED_AGAIN: &str = "
    INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after,
        unit_cost, client_id, recorded_at, quarantined_delta, business_date, value_delta)
    VALUES (1, '00000000-0000-7000-8000-000000000021', 4, 'snapshot_depletion', ':day', -4, 12, 2.5, 1, now(), 0,
        to_date(':day', 'YYYYMMDD'), -10);
    UPDATE lots SET remaining_quantity = 12 WHERE lot_id = '00000000-0000-7000-8000-000000000021';";
const LINE_AGAIN: &str = "
    INSERT INTO depletions
    SELECT (jsonb_populate_record(d, jsonb_build_object('n', 2, 'cost_date', to_date(':day', 'YYYYMMDD')))).*
    FROM depletions AS d WHERE shipment_id = '00000000-0000-7000-b000-000000000021';";
const NO_INDEX: &str = "DROP INDEX lot_transactions_one_depletion_per_day;";
/// The index again, but for the row that cannot be undone: as the runbook says.
const INDEX_BUT_FOR: &str = "CREATE UNIQUE INDEX lot_transactions_one_depletion_per_day
    ON lot_transactions (pool_id, source_ref_id, lot_id)
    WHERE row_source = 'snapshot_depletion'
        AND NOT (pool_id = 1 AND lot_id = '00000000-0000-7000-8000-000000000021' AND seq = 4)";

/// What the line says it took of its four units.
const LOWERED: &str = "
    ALTER TABLE shipment_lines DISABLE TRIGGER USER;
    UPDATE shipment_lines SET depleted_quantity = 1 WHERE shipment_id = '00000000-0000-7000-b000-000000000021';
    ALTER TABLE shipment_lines ENABLE TRIGGER USER;";

/// What shipment 23 took of lot 22 by the snapshot, and of lot 23 by the settlement, each twice in a row.
const TWO_LOTS_AGAIN: &str = "
    ALTER TABLE depletions DISABLE TRIGGER USER;
    UPDATE depletions SET n = 3 WHERE shipment_id = '00000000-0000-7000-b000-000000000023' AND n = 2;
    ALTER TABLE depletions ENABLE TRIGGER USER;
    INSERT INTO depletions
    SELECT (jsonb_populate_record(d, jsonb_build_object('n', n + 1))).*
    FROM depletions AS d WHERE shipment_id = '00000000-0000-7000-b000-000000000023';";

/// What the lot is worth goes up by one each.
const REVALUED: &str = "
    INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, quantity_delta, remaining_after,
        unit_cost, client_id, recorded_at, quarantined_delta, business_date, value_delta)
    VALUES (1, '00000000-0000-7000-8000-000000000021', 5, 'revaluation', 0, 12, 3.5, 1, now(), 0, '2026-01-12', 12);
    UPDATE lots SET unit_cost = 3.5 WHERE lot_id = '00000000-0000-7000-8000-000000000021';";

/// What is present of the lot is recalled: three of its units are on their way.
const RECALLED: &str = "
    INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, quantity_delta, remaining_after,
        unit_cost, client_id, recorded_at, quarantined_delta, business_date, value_delta)
    VALUES (1, '00000000-0000-7000-8000-000000000021', 5, 'quarantine', 0, 12, 2.5, 1, now(), 9, '2026-01-12', 0);
    UPDATE lots SET status = 'quarantined', quarantined_quantity = 9, quarantine_reason = 'recall'
    WHERE lot_id = '00000000-0000-7000-8000-000000000021';
    INSERT INTO stock_entries
    SELECT (jsonb_populate_record(e, jsonb_build_object(
        'seq', 9, 'kind', 'quarantine', 'on_hand_delta', 0, 'quarantined_delta', 9, 'quarantined_after', 10,
        'lot_id', '00000000-0000-7000-8000-000000000021', 'reason', 'recall'
    ))).*
    FROM stock_entries AS e WHERE sku_id = 21 AND seq = 8;
    UPDATE stock SET quarantined = 10, seq = 9 WHERE sku_id = 21;";

/// The snapshot of the day before took the same line from a lot of its own, and wrote it first.
const STRAY_FIRST: &str = "
    INSERT INTO lots (pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost,
        currency, received_date, source, client_id, recorded_at, quarantined_quantity, cost_provisional)
    VALUES (1, '00000000-0000-7000-8000-000000000026', 21, 'T', 'receipt', 'available', 4, 0, 3, 'EUR', '2026-01-09',
        'api', 1, '2026-01-09', 0, false);
    INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after,
        unit_cost, client_id, recorded_at, quarantined_delta, business_date, value_delta)
    VALUES
    (1, '00000000-0000-7000-8000-000000000026', 1, 'receipt', NULL, 4, 4, 3, 1, now(), 0, '2026-01-09', 12),
    (1, '00000000-0000-7000-8000-000000000026', 2, 'snapshot_depletion', '20260109', -4, 0, 3, 1, now(), 0,
        '2026-01-09', -12);
    INSERT INTO stock_entries
    SELECT (jsonb_populate_record(e, jsonb_build_object(
        'seq', 9, 'kind', 'receive', 'on_hand_delta', 4, 'quarantined_delta', 0, 'on_hand_after', 18,
        'lot_id', '00000000-0000-7000-8000-000000000026'
    ))).*
    FROM stock_entries AS e WHERE sku_id = 21 AND seq = 8;
    UPDATE stock SET on_hand = 18, seq = 9 WHERE sku_id = 21;
    ALTER TABLE depletions DISABLE TRIGGER USER;
    UPDATE depletions SET n = 2 WHERE shipment_id = '00000000-0000-7000-b000-000000000021';
    ALTER TABLE depletions ENABLE TRIGGER USER;
    INSERT INTO depletions
    SELECT (jsonb_populate_record(d, jsonb_build_object(
        'n', 1, 'cost_date', '2026-01-09', 'unit_cost', 3, 'lot_id', '00000000-0000-7000-8000-000000000026'
    ))).*
    FROM depletions AS d WHERE shipment_id = '00000000-0000-7000-b000-000000000021';";

fn jump(seq: i64, on_hand: i64) -> String {
    format!(
        "INSERT INTO stock_entries
         SELECT (jsonb_populate_record(e, '{{\"seq\": {seq}, \"kind\": \"opening_count\", \"committed_delta\": 0,
             \"on_hand_after\": {on_hand}, \"reservation_id\": null, \"line\": null}}')).*
         FROM stock_entries AS e WHERE sku_id = 15 AND seq = 7;
         UPDATE stock SET on_hand = {on_hand}, seq = {seq} WHERE sku_id = 15;"
    )
}

/// A balance row and lines, edited by hand.
fn of_rows() -> Vec<Damage> {
    vec![
        Damage {
            sql: drift(2),
            found: &[("balance_drift", "applied")],
            left: &[],
            appended: &["entry 11 correct on_hand 0 quarantined 0 held 0 committed 0"],
            cogs: SOLD,
            guards: "",
        },
        Damage {
            sql: jump(8, 5),
            found: &[("ledger_break", "applied"), ("shelf_differs_from_lots", "manual")],
            left: &[],
            appended: &["entry 15 correct on_hand -2 quarantined 0 held 0 committed 0"],
            cogs: SOLD,
            guards: "",
        },
        Damage {
            sql: jump(8, 5) + &jump(9, 4),
            found: &[("ledger_break", "applied"), ("ledger_break", "applied"), ("shelf_differs_from_lots", "manual")],
            left: &[],
            appended: &[
                "entry 15 correct on_hand -2 quarantined 0 held 0 committed 0",
                "entry 15 correct on_hand 1 quarantined 0 held 0 committed 0",
            ],
            cogs: SOLD,
            guards: "",
        },
        // Two ledgers agree; the row alone says otherwise.
        Damage {
            sql: "ALTER TABLE shipment_lines DISABLE TRIGGER USER;
                  UPDATE shipment_lines SET depleted_quantity = 2
                  WHERE shipment_id = '00000000-0000-7000-b000-000000000021';
                  ALTER TABLE shipment_lines ENABLE TRIGGER USER;"
                .to_owned(),
            found: &[("double_depletion", "applied")],
            left: &[],
            appended: &[],
            cogs: SOLD,
            guards: "",
        },
        Damage {
            sql: "ALTER TABLE depletions DISABLE TRIGGER USER;
                  DELETE FROM depletions WHERE shipment_id = '00000000-0000-7000-b000-000000000021';
                  ALTER TABLE depletions ENABLE TRIGGER USER;"
                .to_owned(),
            found: &[("double_depletion", "manual"), ("lot_day", "manual"), HERE, ("audit_check", "manual")],
            left: &[("double_depletion", "manual"), ("lot_day", "manual"), ("audit_check", "manual")],
            appended: &[],
            cogs: SOLD,
            guards: "INSERT INTO depletions VALUES (1, '00000000-0000-7000-b000-000000000021', 'a', 1, 'snapshot', 21,
                     '00000000-0000-7000-8000-000000000021', 4, 2.5, '2026-01-10', '2026-01-12')",
        },
    ]
}

/// A line that was undone, dates and an entry, edited by hand.
fn of_facts() -> Vec<Damage> {
    vec![
        // It says that it has not been depleted; the close of its day counted it.
        Damage {
            sql: "ALTER TABLE shipment_lines DISABLE TRIGGER USER;
                  UPDATE shipment_lines SET depleted_quantity = 0, snapshot_date = NULL
                  WHERE shipment_id = '00000000-0000-7000-b000-000000000021';
                  ALTER TABLE shipment_lines ENABLE TRIGGER USER;"
                .to_owned(),
            found: &[
                ("double_depletion", "applied"),
                ("shelf_differs_from_lots", "manual"),
                HERE,
                ("audit_check", "manual"),
            ],
            left: &[],
            appended: &[],
            cogs: SOLD,
            guards: "",
        },
        // One date was edited: of the line, which is set once, or of its depletions, which are never edited.
        Damage {
            sql: "ALTER TABLE shipment_lines DISABLE TRIGGER USER;
                  UPDATE shipment_lines SET snapshot_date = '2026-01-11'
                  WHERE shipment_id = '00000000-0000-7000-b000-000000000021';
                  ALTER TABLE shipment_lines ENABLE TRIGGER USER;"
                .to_owned(),
            found: &[("two_dates", "manual"), HERE, ("audit_check", "manual"), ("audit_check", "manual")],
            left: &[("two_dates", "manual"), ("audit_check", "manual"), ("audit_check", "manual")],
            appended: &[],
            cogs: SOLD,
            guards: "ALTER TABLE shipment_lines DISABLE TRIGGER USER;
                     UPDATE shipment_lines SET snapshot_date = '2026-01-10' WHERE snapshot_date = '2026-01-11';
                     ALTER TABLE shipment_lines ENABLE TRIGGER USER",
        },
        Damage {
            sql: "ALTER TABLE depletions DISABLE TRIGGER USER;
                  UPDATE depletions SET cost_date = '2026-01-11'
                  WHERE shipment_id = '00000000-0000-7000-b000-000000000021';
                  ALTER TABLE depletions ENABLE TRIGGER USER;"
                .to_owned(),
            found: &[
                ("two_dates", "manual"),
                ("lot_day", "manual"),
                ("lot_day", "manual"),
                HERE,
                ("audit_check", "manual"),
            ],
            left: &[("two_dates", "manual"), ("lot_day", "manual"), ("lot_day", "manual"), ("audit_check", "manual")],
            appended: &[],
            cogs: SOLD,
            guards: "ALTER TABLE depletions DISABLE TRIGGER USER;
                     UPDATE depletions SET cost_date = '2026-01-10' WHERE cost_date = '2026-01-11';
                     ALTER TABLE depletions ENABLE TRIGGER USER",
        },
        // An entry that jumps because it was edited is not known as it is.
        Damage {
            sql: "ALTER TABLE stock_entries DISABLE TRIGGER USER;
                  UPDATE stock_entries SET on_hand_delta = -8 WHERE sku_id = 21 AND seq = 4;
                  ALTER TABLE stock_entries ENABLE TRIGGER USER;"
                .to_owned(),
            found: &[("audit_check", "manual"), ("ledger_break", "manual")],
            left: &[("audit_check", "manual"), ("ledger_break", "manual")],
            appended: &[],
            cogs: SOLD,
            guards: "ALTER TABLE stock_entries DISABLE TRIGGER USER;
                     UPDATE stock_entries SET on_hand_delta = -4 WHERE sku_id = 21 AND seq = 4;
                     ALTER TABLE stock_entries ENABLE TRIGGER USER",
        },
    ]
}

/// What lots hold, what of it is not for sale, and what it costs, edited by hand.
fn of_lots() -> Vec<Damage> {
    vec![
        Damage {
            sql: "UPDATE lots SET remaining_quantity = 9 WHERE source_ref = 'po-1';".to_owned(),
            found: &[("lot_drift", "applied"), ("shelf_differs_from_lots", "manual")],
            left: &[],
            appended: &["lot 01 correction 0 quarantined 0 worth 0.00"],
            cogs: SOLD,
            guards: "",
        },
        Damage {
            sql: "UPDATE lots SET unit_cost = 9 WHERE source_ref = 'po-21';
                  UPDATE lots SET quarantined_quantity = 0 WHERE lot_id = '00000000-0000-7000-8000-000000000024';"
                .to_owned(),
            found: &[("lot_drift", "applied"), ("lot_drift", "applied"), ("shelf_differs_from_lots", "manual")],
            left: &[],
            appended: &["lot 21 correction 0 quarantined 0 worth 0.00", "lot 24 correction 0 quarantined 0 worth 0.00"],
            cogs: SOLD,
            guards: "",
        },
    ]
}

const TWICE: &[(&str, &str)] =
    &[("double_depletion", "applied"), ("lot_day", "applied"), ("shelf_differs_from_lots", "manual")];

/// Lots that gave more than once.
fn of_depletions() -> Vec<Damage> {
    let twice = |sql: &[&str], day: &str| sql.concat().replace(":day", day);
    vec![
        Damage {
            sql: twice(&[NO_INDEX, DEPLETED_AGAIN], FIRST),
            found: &[("lot_day", "applied"), ("shelf_differs_from_lots", "manual")],
            left: &[],
            appended: &["lot 21 correction 4 quarantined 0 worth 10.00 for 20260110"],
            cogs: SOLD,
            guards: INDEX_BUT_FOR,
        },
        Damage {
            sql: twice(&[NO_INDEX, DEPLETED_AGAIN, REVALUED], FIRST),
            found: &[("lot_day", "applied"), ("shelf_differs_from_lots", "manual")],
            left: &[],
            appended: &[
                "lot 21 correction 0 quarantined 0 worth 4.00",
                "lot 21 correction 4 quarantined 0 worth 10.00 for 20260110",
            ],
            cogs: SOLD,
            guards: INDEX_BUT_FOR,
        },
        Damage {
            sql: twice(&[NO_INDEX, DEPLETED_AGAIN, LINE_AGAIN], FIRST),
            found: TWICE,
            left: &[],
            appended: &[
                "line 21 correction -4 of lot 21 at 2.50",
                "lot 21 correction 0 quarantined 0 worth 0.00 for 20260110",
                "lot 21 correction 4 quarantined 0 worth 10.00 for 00000000-0000-7000-b000-000000000021/a",
            ],
            cogs: SOLD,
            guards: INDEX_BUT_FOR,
        },
        Damage {
            sql: twice(&[NO_INDEX, DEPLETED_AGAIN, LINE_AGAIN, REVALUED], FIRST),
            found: TWICE,
            left: &[],
            appended: &[
                "line 21 correction -4 of lot 21 at 2.50",
                "lot 21 correction 0 quarantined 0 worth 0.00 for 20260110",
                "lot 21 correction 0 quarantined 0 worth 4.00",
                "lot 21 correction 4 quarantined 0 worth 10.00 for 00000000-0000-7000-b000-000000000021/a",
            ],
            cogs: SOLD,
            guards: INDEX_BUT_FOR,
        },
        // What is recalled comes back off sale, on the lot and on the shelf.
        Damage {
            sql: twice(&[NO_INDEX, DEPLETED_AGAIN, LINE_AGAIN, RECALLED], FIRST),
            found: TWICE,
            left: &[],
            appended: &[
                "entry 21 correct on_hand 0 quarantined 4 held 0 committed 0",
                "line 21 correction -4 of lot 21 at 2.50",
                "lot 21 correction 0 quarantined 0 worth 0.00 for 20260110",
                "lot 21 correction 4 quarantined 4 worth 10.00 for 00000000-0000-7000-b000-000000000021/a",
            ],
            cogs: SOLD,
            guards: INDEX_BUT_FOR,
        },
        Damage {
            sql: two_dates(),
            found: &[("two_dates", "applied"), ("shelf_differs_from_lots", "manual")],
            left: &[],
            appended: &[
                "line 21 correction -4 of lot 21 at 2.50",
                "lot 21 correction 4 quarantined 0 worth 10.00 for 00000000-0000-7000-b000-000000000021/a",
            ],
            cogs: SOLD,
            guards: "",
        },
        Damage {
            sql: STRAY_FIRST.to_owned(),
            found: &[("two_dates", "applied"), ("shelf_differs_from_lots", "manual")],
            left: &[],
            appended: &[
                "line 21 correction -4 of lot 26 at 3.00",
                "lot 26 correction 4 quarantined 0 worth 12.00 for 00000000-0000-7000-b000-000000000021/a",
            ],
            cogs: SOLD,
            guards: "",
        },
        // Written twice, taken once: the line is put right first, and what the day then says is noted.
        Damage {
            sql: twice(&[LINE_AGAIN], FIRST),
            found: &[("double_depletion", "applied"), ("lot_day", "manual")],
            left: &[("lot_day", "applied")],
            appended: &[
                "line 21 correction -4 of lot 21 at 2.50",
                "lot 21 correction 0 quarantined 0 worth 0.00 for 20260110",
            ],
            cogs: SOLD,
            guards: "",
        },
    ]
}

/// Lines that something else is wrong with as well.
fn of_lines() -> Vec<Damage> {
    let twice = |sql: &[&str], day: &str| sql.concat().replace(":day", day);
    vec![
        // The row was lowered as well: no more goes back than was taken twice.
        Damage {
            sql: twice(&[NO_INDEX, DEPLETED_AGAIN, LINE_AGAIN, LOWERED], FIRST),
            found: TWICE,
            left: &[],
            appended: &[
                "line 21 correction -4 of lot 21 at 2.50",
                "lot 21 correction 0 quarantined 0 worth 0.00 for 20260110",
                "lot 21 correction 4 quarantined 0 worth 10.00 for 00000000-0000-7000-b000-000000000021/a",
            ],
            cogs: SOLD,
            guards: INDEX_BUT_FOR,
        },
        // Its depletion came with a cost of its own: the lot gets back what the lot gave.
        Damage {
            sql: twice(&[NO_INDEX, DEPLETED_AGAIN, LINE_AGAIN], FIRST).replace("'n', 2,", "'n', 2, 'unit_cost', 2.4,"),
            found: TWICE,
            left: &[],
            appended: &[
                "line 21 correction -4 of lot 21 at 2.40",
                "lot 21 correction 0 quarantined 0 worth 0.00 for 20260110",
                "lot 21 correction 4 quarantined 0 worth 10.00 for 00000000-0000-7000-b000-000000000021/a",
            ],
            cogs: SOLD,
            guards: INDEX_BUT_FOR,
        },
        // Of two lots each was written twice and gave once.
        Damage {
            sql: TWO_LOTS_AGAIN.to_owned(),
            found: &[("double_depletion", "applied"), ("lot_day", "manual"), ("audit_check", "manual")],
            left: &[("lot_day", "applied")],
            appended: &[
                "line 23 correction -2 of lot 22 at 3.00",
                "line 23 correction -2 of lot 23 at 4.00",
                "lot 22 correction 0 quarantined 0 worth 0.00 for 20260110",
            ],
            cogs: SOLD,
            guards: "",
        },
    ]
}

pub fn damages() -> Vec<Damage> {
    [of_rows(), of_facts(), of_lots(), of_depletions(), of_lines()].into_iter().flatten().collect()
}

/// Shipment 21 was depleted by the snapshots of two days.
pub fn two_dates() -> String {
    format!("{DEPLETED_AGAIN}{LINE_AGAIN}").replace(":day", SECOND)
}

/// Shipment 21 was depleted twice by the snapshot of one day, its guard down.
pub fn depleted_twice() -> String {
    format!("{NO_INDEX}{DEPLETED_AGAIN}{LINE_AGAIN}").replace(":day", FIRST)
}

/// What puts the guard of [`depleted_twice`] up again.
pub fn guard_again() -> &'static str {
    INDEX_BUT_FOR
}

/// A balance row, edited by hand.
pub fn drift(units: i64) -> String {
    format!(
        "ALTER TABLE stock DISABLE TRIGGER USER;
         UPDATE stock SET held = held + {units} WHERE sku_id = 11;
         ALTER TABLE stock ENABLE TRIGGER USER;"
    )
}
