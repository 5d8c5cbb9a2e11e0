//! Properties of every allocation, and a worked example checked by hand.

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;

fn day(number: u32) -> NaiveDate {
    NaiveDate::from_num_days_from_ce_opt(739_000 + i32::try_from(number).unwrap()).unwrap()
}

fn at(number: u32) -> DateTime<Utc> {
    day(number).and_hms_opt(12, 0, 0).unwrap().and_utc()
}

/// All of every lot is there, but where a test is about what is not.
const TODAY: NaiveDate = NaiveDate::MAX;

fn uuid(number: usize) -> Uuid {
    Uuid::from_u128(number as u128)
}

fn lot(number: usize, received: u32, remaining: i64) -> Lot {
    Lot {
        id: uuid(number),
        received_date: day(received),
        recorded_at: at(received),
        expires_date: None,
        remaining,
        quarantined: 0,
        later: Vec::new(),
    }
}

fn line(number: usize, shipped: u32, quantity: i64) -> Line {
    Line {
        shipment: uuid(number),
        line_ref: "1".into(),
        lot: None,
        shipped_at: at(shipped),
        shipped_date: day(shipped),
        quantity,
    }
}

/// Units by line and lot, and what is short by line.
type ById = (Vec<(Uuid, Uuid, i64)>, Vec<(Uuid, i64)>);

/// What was taken, told by ids and not by places.
fn by_id(lots: &[Lot], lines: &[Line], order: DepletionOrder) -> ById {
    by_id_at(lots, lines, order, TODAY)
}

fn by_id_at(lots: &[Lot], lines: &[Line], order: DepletionOrder, day: NaiveDate) -> ById {
    let Allocated { allocations, shortages } = allocate(lots, lines, order, day);
    let taken = allocations.iter().map(|taken| (lines[taken.line].shipment, lots[taken.lot].id, taken.quantity));
    (taken.collect(), shortages.iter().map(|short| (lines[short.line].shipment, short.quantity)).collect())
}

/// Number; received, recorded, moved later, expires, remaining, quarantined.
type Given = (usize, (u32, u32, Vec<(u32, i64)>, Option<u32>, i64, i64));

fn some_lots() -> impl Strategy<Value = Vec<Lot>> {
    let expiry = prop::option::weighted(0.3, 0..14_u32);
    let moved = prop::collection::vec((0..4_u32, -8..12_i64), 0..3);
    let one = (0..6_u32, 0..3_u32, moved, expiry, 0..20_i64, 0..8_i64);
    prop::collection::vec(one, 0..8).prop_map(|lots| {
        let lots = lots.into_iter().enumerate();
        let lot = |(number, (received, recorded, moved, expires, remaining, quarantined)): Given| Lot {
            recorded_at: at(recorded),
            later: moved.into_iter().map(|(date, units)| (day(date), units.min(remaining))).collect(),
            expires_date: expires.map(day),
            quarantined: quarantined.min(remaining),
            ..lot(number, received, remaining)
        };
        lots.map(lot).collect()
    })
}

fn some_lines() -> impl Strategy<Value = Vec<Line>> {
    let one = (0..12_u32, 1..15_i64, prop::option::weighted(0.3, 0..10_usize));
    prop::collection::vec(one, 0..10).prop_map(|lines| {
        let lines = lines.into_iter().enumerate();
        lines
            .map(|(number, (shipped, units, lot))| Line { lot: lot.map(uuid), ..line(number, shipped, units) })
            .collect()
    })
}

fn some_order() -> impl Strategy<Value = DepletionOrder> {
    prop_oneof![Just(DepletionOrder::Fifo), Just(DepletionOrder::Fefo)]
}

proptest! {
    #[test]
    fn every_unit_is_taken_from_a_lot_or_is_short_and_no_lot_gives_more_than_it_may(
        lots in some_lots(), lines in some_lines(), order in some_order(),
    ) {
        let Allocated { allocations, shortages } = allocate(&lots, &lines, order, TODAY);
        let mut of_line = vec![0; lines.len()];
        let mut of_lot = vec![0; lots.len()];
        for taken in &allocations {
            prop_assert!(taken.quantity > 0);
            of_line[taken.line] += taken.quantity;
            of_lot[taken.lot] += taken.quantity;
        }
        for short in &shortages {
            prop_assert!(short.quantity > 0);
            of_line[short.line] += short.quantity;
        }
        for (line, units) in lines.iter().zip(of_line) {
            prop_assert_eq!(line.quantity, units);
        }
        for (lot, units) in lots.iter().zip(&of_lot) {
            prop_assert!(*units <= lot.remaining - lot.quarantined);
        }
        let there: Vec<i64> = lots.iter().zip(&of_lot).map(|(lot, units)| lot.remaining - units).collect();
        prop_assert_eq!(present(&lots, &[], &BTreeMap::from([(day(9), lines)]), order), there);
        let mut pairs: Vec<_> = allocations.iter().map(|taken| (taken.line, taken.lot)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        prop_assert_eq!(pairs.len(), allocations.len(), "one allocation per line and lot");
    }

    /// What keeps lots that are off sale whole needs to be done again only where a lot could come to give less.
    #[test]
    fn a_lot_never_gives_less_because_more_ships_or_because_what_is_there_of_one_is_gone(
        lots in some_lots(), today in some_lines(), tomorrow in some_lines(), more in some_lines(), order in some_order(),
    ) {
        let days = BTreeMap::from([(day(0), today), (day(1), tomorrow)]);
        let before = present(&lots, &[], &days, order);
        for number in [0, 1] {
            let mut days = days.clone();
            days.get_mut(&day(number)).unwrap().extend(more.clone());
            for (after, before) in present(&lots, &[], &days, order).iter().zip(&before) {
                prop_assert!(after <= before);
            }
        }
        for (place, before_here) in before.iter().enumerate() {
            let mut lots = lots.clone();
            lots[place].quarantined = *before_here;
            prop_assert_eq!(&present(&lots, &[], &days, order), &before, "quarantined");
            lots[place].later.push((day(9), -before_here));
            lots[place].remaining -= before_here;
            lots[place].quarantined = 0;
            let after = present(&lots, &[], &days, order);
            prop_assert_eq!(after[place], 0, "gone");
            prop_assert!((0..lots.len()).filter(|other| *other != place).all(|other| after[other] == before[other]));
        }
    }

    /// However lots moved since, the books of no day show less than nothing of one that was taken from.
    #[test]
    fn nothing_is_taken_of_what_came_later(
        lots in some_lots(), lines in some_lines(), order in some_order(), closing in 0..4_u32,
    ) {
        let Allocated { allocations, .. } = allocate(&lots, &lines, order, day(closing));
        for (place, lot) in lots.iter().enumerate() {
            let taken: i64 = allocations.iter().filter(|taken| taken.lot == place).map(|taken| taken.quantity).sum();
            for date in (closing..5).map(day) {
                let since: i64 = lot.later.iter().filter(|(later, _)| *later > date).map(|(_, units)| units).sum();
                prop_assert!(taken == 0 || taken <= lot.remaining - since, "{lot:?} gives {taken} on {closing}");
            }
        }
    }

    /// A lot that came later as a whole is as good as not there.
    #[test]
    fn what_was_there_gives_as_if_nothing_had_come_since(
        lots in some_lots(), lines in some_lines(), order in some_order(), closing in 0..4_u32,
    ) {
        let came = |(n, lot): (u32, Lot)| Lot { later: vec![(day(n % 5), lot.remaining)], ..lot };
        let lots: Vec<Lot> = (0..).zip(lots).map(came).collect();
        let there: Vec<Lot> = lots.iter().filter(|lot| lot.later[0].0 <= day(closing)).cloned().collect();
        prop_assert_eq!(
            by_id_at(&lots, &lines, order, day(closing)), by_id_at(&there, &lines, order, day(closing))
        );
    }

    /// Whatever is said of units from the day on since which they are there is true of no more than were there.
    #[test]
    fn what_is_left_is_there_since_some_day(lots in some_lots(), first in 0..4_u32) {
        for lot in lots {
            let since = lot.since(day(first));
            prop_assert_eq!(since.values().sum::<i64>(), lot.remaining.max(0));
            for date in (first..6).map(day) {
                let later: i64 = lot.later.iter().filter(|(later, _)| *later > date).map(|(_, units)| units).sum();
                let there: i64 = since.range(..=date).map(|(_, units)| units).sum();
                prop_assert!(there <= (lot.remaining - later).max(0), "{lot:?} by {date}: {since:?}");
            }
        }
    }

    /// What is short of a day comes off what arrives later: no unit is there twice.
    #[test]
    fn what_is_there_is_what_remains_less_all_that_shipped_and_can_be_had(
        lots in some_lots(), short in some_lines(), first in some_lines(), second in some_lines(), order in some_order(),
    ) {
        let lots: Vec<Lot> = lots.into_iter().map(|lot| Lot { expires_date: None, ..lot }).collect();
        let shipped: i64 = short.iter().chain(&first).chain(&second).map(|line| line.quantity).sum();
        let free: i64 = lots.iter().map(|lot| lot.remaining - lot.quarantined).sum();
        let remaining: i64 = lots.iter().map(|lot| lot.remaining).sum();
        let there = present(&lots, &short, &BTreeMap::from([(day(0), first), (day(1), second)]), order);
        prop_assert_eq!(there.iter().sum::<i64>(), remaining - shipped.min(free));
    }

    #[test]
    fn no_line_passes_by_an_older_lot_that_it_could_have_had(
        lots in some_lots(), lines in some_lines(), order in some_order(),
    ) {
        let Allocated { allocations, shortages } = allocate(&lots, &lines, order, TODAY);
        let mut left: Vec<i64> = lots.iter().map(|lot| lot.remaining - lot.quarantined).collect();
        let names = |taken: &Allocation| lines[taken.line].lot == Some(lots[taken.lot].id);
        for taken in allocations.iter().filter(|taken| names(taken)) {
            left[taken.lot] -= taken.quantity;
        }
        let could = |line: &Line, lot: &Lot| lot.expires_date.is_none_or(|expires| line.shipped_date < expires);
        for taken in allocations.iter().filter(|taken| !names(taken)) {
            let (line, chosen) = (&lines[taken.line], &lots[taken.lot]);
            prop_assert!(could(line, chosen));
            for (lot, left) in lots.iter().zip(&left) {
                let older = compare(order, lot, chosen) == Ordering::Less;
                prop_assert!(!(older && *left > 0 && could(line, lot)), "{lot:?} was passed by for {chosen:?}");
            }
            left[taken.lot] -= taken.quantity;
        }
        for short in &shortages {
            let line = &lines[short.line];
            prop_assert!(lots.iter().zip(&left).all(|(lot, left)| *left == 0 || !could(line, lot)));
        }
    }

    #[test]
    fn the_order_in_which_lots_and_lines_are_given_decides_nothing(
        lots in some_lots(), lines in some_lines(), order in some_order(), seed in any::<u64>(),
    ) {
        let shuffled = |length: usize, seed: u64| {
            let mut places: Vec<usize> = (0..length).collect();
            places.sort_by_key(|place| (*place as u64 + 1).wrapping_mul(seed | 1).rotate_left(29).wrapping_mul(seed | 1));
            places
        };
        let other_lots: Vec<Lot> = shuffled(lots.len(), seed).into_iter().map(|place| lots[place].clone()).collect();
        let other_lines: Vec<Line> =
            shuffled(lines.len(), seed.rotate_left(7)).into_iter().map(|place| lines[place].clone()).collect();
        prop_assert_eq!(by_id(&lots, &lines, order), by_id(&other_lots, &other_lines, order));
    }

    #[test]
    fn a_named_lot_goes_to_the_lines_that_name_it(
        lots in some_lots(), lines in some_lines(), order in some_order(),
    ) {
        let (allocations, _) = by_id(&lots, &lines, order);
        for lot in &lots {
            let asked: i64 = lines.iter().filter(|line| line.lot == Some(lot.id)).map(|line| line.quantity).sum();
            let names = |shipment: &Uuid| lines.iter().any(|line| line.shipment == *shipment && line.lot == Some(lot.id));
            let given: i64 =
                allocations.iter().filter(|(line, from, _)| *from == lot.id && names(line)).map(|taken| taken.2).sum();
            prop_assert_eq!(given, asked.min(lot.remaining - lot.quarantined));
        }
    }
}

/// J. Wild, K. Shaw, B. Chiappetta, *Fundamental Accounting Principles*, 21st ed., Problem 6-1A (Montoure Company),
/// perpetual FIFO. 600 @ 45, 400 @ 42 and 200 @ 27 are there when 800 are sold on March 15; 100 @ 50 and 500 @ 46 come
/// before 600 are sold on September 10. By hand:
///
/// | sold | from | cost |
/// |---|---|---|
/// | March 15: 800 | 600 @ 45 + 200 @ 42 | 27,000 + 8,400 = 35,400 |
/// | September 10: 600 | 200 @ 42 + 200 @ 27 + 100 @ 50 + 100 @ 46 | 8,400 + 5,400 + 5,000 + 4,600 = 23,400 |
///
/// Cost of goods sold 58,800; ending inventory 400 @ 46 = 18,400; together the 77,200 available for sale.
#[test]
fn a_textbook_schedule_of_perpetual_fifo_comes_out_to_the_cent() {
    let bought = [(1, 600, 45), (41, 400, 42), (72, 200, 27), (233, 100, 50), (248, 500, 46)];
    let mut lots: Vec<Lot> =
        bought.iter().enumerate().map(|(number, (date, units, _))| lot(number, *date, *units)).collect();
    let cost = |lot: usize| Decimal::from(bought[lot].2);
    let mut sell = |known: usize, date: u32, units: i64| {
        let Allocated { allocations, shortages } =
            allocate(&lots[..known], &[line(1, date, units)], DepletionOrder::Fifo, TODAY);
        assert_eq!(shortages, []);
        for taken in &allocations {
            lots[taken.lot].remaining -= taken.quantity;
        }
        let taken: Vec<(i64, i32)> = allocations.iter().map(|taken| (taken.quantity, bought[taken.lot].2)).collect();
        (taken, allocations.iter().map(|taken| Decimal::from(taken.quantity) * cost(taken.lot)).sum::<Decimal>())
    };
    let march = sell(3, 74, 800);
    assert_eq!(march, (vec![(600, 45), (200, 42)], Decimal::from(35_400)));
    let september = sell(5, 253, 600);
    assert_eq!(september, (vec![(200, 42), (200, 27), (100, 50), (100, 46)], Decimal::from(23_400)));
    assert_eq!(march.1 + september.1, Decimal::from(58_800));
    let left: BTreeMap<usize, i64> =
        lots.iter().enumerate().filter(|(_, lot)| lot.remaining > 0).map(|(at, lot)| (at, lot.remaining)).collect();
    assert_eq!(left, BTreeMap::from([(4, 400)]));
    assert_eq!(Decimal::from(400) * cost(4), Decimal::from(18_400));
}

#[test]
fn expired_and_quarantined_units_stay_unless_the_warehouse_names_their_lot() {
    let old = Lot { expires_date: Some(day(5)), ..lot(1, 1, 10) };
    let held_back = Lot { quarantined: 6, ..lot(2, 2, 10) };
    let lots = [old, held_back, lot(3, 3, 10)];
    // On the day before it expires a lot still goes; on the day itself it does not.
    let (taken, short) = by_id(&lots, &[line(1, 4, 3), line(2, 5, 9)], DepletionOrder::Fifo);
    assert_eq!((taken, short), (vec![(uuid(1), uuid(1), 3), (uuid(2), uuid(2), 4), (uuid(2), uuid(3), 5)], vec![]));
    let named = Line { lot: Some(uuid(1)), ..line(3, 9, 12) };
    let (taken, short) = by_id(&lots, &[line(1, 4, 3), named], DepletionOrder::Fifo);
    assert_eq!(taken, [(uuid(1), uuid(2), 3), (uuid(3), uuid(1), 10), (uuid(3), uuid(2), 1), (uuid(3), uuid(3), 1)]);
    assert_eq!(short, []);
}

#[test]
fn what_expires_first_goes_first_where_the_class_says_so() {
    let expiring = |number, received, expires| Lot { expires_date: Some(day(expires)), ..lot(number, received, 5) };
    let lots = [lot(1, 1, 5), expiring(2, 2, 40), expiring(3, 3, 30)];
    let (taken, short) = by_id(&lots, &[line(1, 10, 16)], DepletionOrder::Fefo);
    assert_eq!(taken, [(uuid(1), uuid(3), 5), (uuid(1), uuid(2), 5), (uuid(1), uuid(1), 5)]);
    assert_eq!(short, [(uuid(1), 1)]);
}
