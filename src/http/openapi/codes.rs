//! Which problem codes each operation can answer, by operation id.

#[allow(clippy::enum_glob_use, reason = "the table below names most of them")]
use crate::http::code::Code::{self, *};

const ANY: &[Code] = &[Unauthorized, Forbidden, InvalidParameter, Internal, Unavailable, Timeout];
const BODY: &[Code] = &[MalformedJson, BodyTooLarge, UnsupportedMediaType, ValidationFailed];
const KEYED: &[Code] =
    &[IdempotencyKeyRequired, IdempotencyKeyInvalid, IdempotencyKeyReused, IdempotencyKeyInFlight, Busy];
/// Of a cart that wants to be held.
const HOLD: &[Code] = &[
    InsufficientStock,
    UnknownPool,
    UnknownSku,
    UnknownVariant,
    SkuRetired,
    QuantityAboveMaxPerHold,
    TtlAboveLongestHold,
    ClientReferenceInUse,
    UnknownReservation,
    SupersedesOtherOwner,
    AlreadySuperseded,
    InvalidStateTransition,
    OpeningCountRequired,
];
/// Of what needs no key but a signature.
const SIGNED: &[Code] =
    &[InvalidParameter, MalformedJson, InvalidSignature, UnknownShop, BodyTooLarge, Internal, Unavailable, Timeout];
const EDIT: &[Code] = &[PreconditionRequired, PreconditionFailed];

/// The codes of an operation; empty for one that is not listed.
#[must_use]
pub fn codes_of(operation: &str) -> Vec<Code> {
    if matches!(operation, "take_shopify_webhook" | "take_recharge_webhook") {
        return SIGNED.to_vec();
    }
    let own: &[&[Code]] = match operation {
        "create_reservation" => &[BODY, KEYED, HOLD],
        "commit_reservation" => &[
            BODY,
            KEYED,
            &[ReservationNotFound, HoldExpired, InvalidStateTransition, OrderRefConflict, ExceedsHeld, UnknownLine],
        ],
        "release_reservation" => {
            &[BODY, KEYED, &[ReservationNotFound, InvalidStateTransition, ExceedsHeld, UnknownLine]]
        }
        "extend_reservation" => &[
            BODY,
            KEYED,
            &[
                ReservationNotFound,
                HoldExpired,
                InvalidStateTransition,
                ExceedsLongestHold,
                TtlAboveLongestHold,
                SkuRetired,
                OpeningCountRequired,
                ClientReferenceInUse,
            ],
        ],
        "get_reservation" => &[&[ReservationNotFound]],
        "erase_owner" | "create_key" => &[BODY],
        "record_shipment" => &[BODY, KEYED, &[UnknownPool, UnknownSku, UnknownReservation, InTheFuture]],
        "void_shipment" => &[BODY, KEYED, &[ShipmentNotFound, UnknownShipmentLine, ShipmentReturned]],
        "record_return" => {
            &[BODY, KEYED, &[UnknownPool, UnknownSku, SkuUntracked, UnknownShipmentLine, UnknownCost, ExceedsShipped]]
        }
        "get_shipment" => &[&[ShipmentNotFound]],
        "get_return" => &[&[ReturnNotFound]],
        "get_availability" => &[&[UnknownSku, UnknownVariant, UnknownPool]],
        "query_availability" => &[BODY, &[UnknownSku, UnknownVariant, UnknownPool]],
        "explain_availability" | "list_stock_entries" | "get_sku" | "get_stock_history" => &[&[SkuNotFound]],
        "create_pool" | "create_class" => &[BODY, &[CodeInUse]],
        "create_sku" => &[BODY, &[CodeInUse, UnknownClass]],
        "close_snapshot" => &[BODY, &[UnknownPool, DayNotOver, EarlierDayOpen, DepletedBefore]],
        "get_snapshot" => &[&[SnapshotNotFound]],
        "get_pool" => &[&[PoolNotFound]],
        "get_class" => &[&[ClassNotFound]],
        "change_pool" => &[BODY, EDIT, &[PoolNotFound]],
        "change_class" => &[BODY, EDIT, &[ClassNotFound]],
        "change_sku" => &[BODY, EDIT, &[SkuNotFound, UnknownClass]],
        "diagnose_damage" => &[BODY, &[UnknownPool]],
        "plan_repair" => &[BODY, &[UnknownPool, RepairPlanNotFound]],
        "apply_repair" => &[BODY, &[RepairPlanNotFound, EvidenceStale]],
        "verify_repair" => &[BODY, &[RepairPlanNotFound]],
        "get_repair_plan" | "report_repair" => &[&[RepairPlanNotFound]],
        "revoke_key" => &[&[KeyNotFound]],
        "run_job" => &[BODY, &[JobNotFound, UnknownPool, SlotNotDue, JobAtWork]],
        "list_jobs"
        | "list_reservations"
        | "list_lots"
        | "list_oversells"
        | "list_shipments"
        | "list_returns"
        | "list_discrepancies"
        | "list_lot_shortages"
        | "list_pools"
        | "list_classes"
        | "list_skus"
        | "list_keys"
        | "list_snapshots"
        | "get_cogs_report"
        | "get_valuation_report" => &[],
        _ => match codes_about_lots(operation).or_else(|| codes_about_the_mirror(operation)) {
            Some(own) => own,
            None => return Vec::new(),
        },
    };
    ANY.iter().chain(own.iter().copied().flatten()).copied().collect()
}

fn codes_about_lots(operation: &str) -> Option<&'static [&'static [Code]]> {
    Some(match operation {
        "receive_lot" => &[BODY, KEYED, &[UnknownPool, UnknownSku, SkuUntracked]],
        "import_lots" => &[BODY, &[UnknownPool, UnknownSku, SkuUntracked, Busy]],
        "give_opening_count" => &[BODY, KEYED, &[UnknownPool, SkuNotFound, SkuUntracked, OpeningCountNotDue]],
        "quarantine_lot" | "revalue_lot" => &[BODY, KEYED, &[LotNotFound]],
        "recall_lots" => &[BODY, KEYED, &[UnknownPool]],
        "unquarantine_lot" => &[BODY, KEYED, &[LotNotFound, LotExpired]],
        "write_off_lot" => &[BODY, KEYED, &[LotNotFound, ExceedsLot]],
        "transfer_lot" => &[BODY, KEYED, &[LotNotFound, ExceedsLot, UnknownPool]],
        "get_lot" | "list_lot_transactions" | "list_lot_shipments" => &[&[LotNotFound]],
        _ => return None,
    })
}

fn codes_about_the_mirror(operation: &str) -> Option<&'static [&'static [Code]]> {
    Some(match operation {
        "get_variant" | "list_variant_mappings" => &[&[VariantNotFound]],
        "put_variant_mapping" => &[BODY, EDIT, &[VariantNotFound, UnknownSku]],
        "put_line_mapping" => &[BODY, &[OrderLineNotFound, UnknownSku]],
        "put_location_pool" => &[BODY, &[LocationNotFound, UnknownPool]],
        "delete_location_pool" => &[&[LocationNotFound]],
        "get_campaign" | "delete_campaign" => &[&[CampaignNotFound]],
        "put_campaign" => &[BODY, EDIT, &[CampaignNotFound, UnknownProduct]],
        "retry_webhook" => &[&[WebhookNotFound]],
        "get_mirror"
        | "list_mirror_findings"
        | "list_webhooks"
        | "list_variants"
        | "list_locations"
        | "list_unmatched_lines"
        | "list_campaigns"
        | "get_upcoming_demand" => &[],
        _ => return None,
    })
}
