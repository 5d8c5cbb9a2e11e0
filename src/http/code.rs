//! The closed list of problem codes. A code decides status, title and whether a retry can help; no handler picks a
//! status.

use axum::http::StatusCode;
use serde::Serialize;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $status:ident, $retryable:literal;)+) => {
        /// Why a request was refused or failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word in answers, metrics and documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// Whether the same request, under the same key, may succeed later.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)+ }
            }

            /// One sentence for people; the `title` of its problems.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => [$($doc,)+][0].trim(),)+ }
            }
        }
    };
}

codes! {
    /// The body is not well-formed JSON.
    MalformedJson = "malformed_json", BAD_REQUEST, false;
    /// A query parameter, path or header is unknown or malformed.
    InvalidParameter = "invalid_parameter", BAD_REQUEST, false;
    /// The Idempotency-Key header is required.
    IdempotencyKeyRequired = "idempotency_key_required", BAD_REQUEST, false;
    /// The Idempotency-Key must be 1 to 255 visible ASCII characters.
    IdempotencyKeyInvalid = "idempotency_key_invalid", BAD_REQUEST, false;
    /// A valid API key is required.
    Unauthorized = "unauthorized", UNAUTHORIZED, false;
    /// The body is not signed by who it should come from.
    InvalidSignature = "invalid_signature", UNAUTHORIZED, false;
    /// The API key lacks the scope for this.
    Forbidden = "forbidden", FORBIDDEN, false;
    /// There is nothing at this path.
    NotFound = "not_found", NOT_FOUND, false;
    /// There is no such reservation.
    ReservationNotFound = "reservation_not_found", NOT_FOUND, false;
    /// There is no such SKU.
    SkuNotFound = "sku_not_found", NOT_FOUND, false;
    /// There is no such pool.
    PoolNotFound = "pool_not_found", NOT_FOUND, false;
    /// There is no such class.
    ClassNotFound = "class_not_found", NOT_FOUND, false;
    /// There is no such lot.
    LotNotFound = "lot_not_found", NOT_FOUND, false;
    /// There is no such shipment.
    ShipmentNotFound = "shipment_not_found", NOT_FOUND, false;
    /// There is no such return.
    ReturnNotFound = "return_not_found", NOT_FOUND, false;
    /// The day has not been closed.
    SnapshotNotFound = "snapshot_not_found", NOT_FOUND, false;
    /// There is no such API key.
    KeyNotFound = "key_not_found", NOT_FOUND, false;
    /// There is no such repair plan.
    RepairPlanNotFound = "repair_plan_not_found", NOT_FOUND, false;
    /// There is no such job.
    JobNotFound = "job_not_found", NOT_FOUND, false;
    /// No such variant was copied, and no order names it.
    VariantNotFound = "variant_not_found", NOT_FOUND, false;
    /// The order has no such line to map.
    OrderLineNotFound = "order_line_not_found", NOT_FOUND, false;
    /// No such location was copied.
    LocationNotFound = "location_not_found", NOT_FOUND, false;
    /// There is no such campaign.
    CampaignNotFound = "campaign_not_found", NOT_FOUND, false;
    /// Nothing is mirrored from this shop.
    UnknownShop = "unknown_shop", NOT_FOUND, false;
    /// There is no such webhook delivery.
    WebhookNotFound = "webhook_not_found", NOT_FOUND, false;
    /// The path does not take this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, false;
    /// There are not enough units to hold.
    InsufficientStock = "insufficient_stock", CONFLICT, false;
    /// The hold has expired and its units are gone.
    HoldExpired = "hold_expired", CONFLICT, false;
    /// Another standing reservation of this client carries this reference.
    ClientReferenceInUse = "client_reference_in_use", CONFLICT, false;
    /// The state of the reservation does not allow this.
    InvalidStateTransition = "invalid_state_transition", CONFLICT, false;
    /// The reservation belongs to another order.
    OrderRefConflict = "order_ref_conflict", CONFLICT, false;
    /// A line names more units than it has.
    ExceedsHeld = "exceeds_held", CONFLICT, false;
    /// A hold may not last beyond its longest.
    ExceedsLongestHold = "exceeds_longest_hold", CONFLICT, false;
    /// The reservation to supersede belongs to another owner.
    SupersedesOtherOwner = "supersedes_other_owner", CONFLICT, false;
    /// The reservation was superseded before.
    AlreadySuperseded = "already_superseded", CONFLICT, false;
    /// The shelf was untracked for a while and must be counted first.
    OpeningCountRequired = "opening_count_required", CONFLICT, false;
    /// The shelf is open; there is no opening count to give.
    OpeningCountNotDue = "opening_count_not_due", CONFLICT, false;
    /// Units of the shipment have come back; it cannot be voided.
    ShipmentReturned = "shipment_returned", CONFLICT, false;
    /// More would come back than was shipped and has not come back yet.
    ExceedsShipped = "exceeds_shipped", CONFLICT, false;
    /// The lot has fewer units than that.
    ExceedsLot = "exceeds_lot", CONFLICT, false;
    /// The lot is past its expiry and does not go on sale again.
    LotExpired = "lot_expired", CONFLICT, false;
    /// Part of the day has been depleted before; repair finds which.
    DepletedBefore = "depleted_before", CONFLICT, false;
    /// An earlier day of the pool must be closed first.
    EarlierDayOpen = "earlier_day_open", CONFLICT, false;
    /// The code is taken.
    CodeInUse = "code_in_use", CONFLICT, false;
    /// What a finding was made from is no longer so.
    EvidenceStale = "evidence_stale", CONFLICT, false;
    /// The slot is not due, or not the next one of its job.
    SlotNotDue = "slot_not_due", CONFLICT, false;
    /// Another slot of the job is waiting or at work.
    JobAtWork = "job_at_work", CONFLICT, true;
    /// A request with the same Idempotency-Key is still at work.
    IdempotencyKeyInFlight = "idempotency_key_in_flight", CONFLICT, true;
    /// The resource has changed since it was read.
    PreconditionFailed = "precondition_failed", PRECONDITION_FAILED, false;
    /// The body is too large.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, false;
    /// The body must be application/json.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, false;
    /// The request breaks one or more rules; all of them are listed.
    ValidationFailed = "validation_failed", UNPROCESSABLE_ENTITY, false;
    /// A SKU is not in the catalogue.
    UnknownSku = "unknown_sku", UNPROCESSABLE_ENTITY, false;
    /// Nobody has said what SKUs a variant is.
    UnknownVariant = "unknown_variant", UNPROCESSABLE_ENTITY, false;
    /// A pool is not in the catalogue.
    UnknownPool = "unknown_pool", UNPROCESSABLE_ENTITY, false;
    /// A class is not in the catalogue.
    UnknownClass = "unknown_class", UNPROCESSABLE_ENTITY, false;
    /// A product was never copied.
    UnknownProduct = "unknown_product", UNPROCESSABLE_ENTITY, false;
    /// The local day has not ended yet.
    DayNotOver = "day_not_over", UNPROCESSABLE_ENTITY, false;
    /// A retired SKU takes no new holds.
    SkuRetired = "sku_retired", UNPROCESSABLE_ENTITY, false;
    /// An untracked SKU has no stock.
    SkuUntracked = "sku_untracked", UNPROCESSABLE_ENTITY, false;
    /// The class allows fewer units of this SKU in one hold.
    QuantityAboveMaxPerHold = "quantity_above_max_per_hold", UNPROCESSABLE_ENTITY, false;
    /// The class does not let a hold last that long.
    TtlAboveLongestHold = "ttl_above_longest_hold", UNPROCESSABLE_ENTITY, false;
    /// The request names a reservation that does not exist.
    UnknownReservation = "unknown_reservation", UNPROCESSABLE_ENTITY, false;
    /// The reservation has no such line.
    UnknownLine = "unknown_line", UNPROCESSABLE_ENTITY, false;
    /// There is no such shipment line.
    UnknownShipmentLine = "unknown_shipment_line", UNPROCESSABLE_ENTITY, false;
    /// The time has not come yet.
    InTheFuture = "in_the_future", UNPROCESSABLE_ENTITY, false;
    /// Nothing says what the units cost.
    UnknownCost = "unknown_cost", UNPROCESSABLE_ENTITY, false;
    /// The Idempotency-Key belongs to another request.
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, false;
    /// Editing needs If-Match with the ETag that was read.
    PreconditionRequired = "precondition_required", PRECONDITION_REQUIRED, false;
    /// Something went wrong inside Holdfast; nothing was done.
    Internal = "internal", INTERNAL_SERVER_ERROR, true;
    /// Too many commands are waiting for this stock, or too many files are on their way.
    Busy = "busy", SERVICE_UNAVAILABLE, true;
    /// The database cannot be reached.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, true;
    /// The request took too long; with an Idempotency-Key the same request can be sent again to learn its outcome.
    Timeout = "timeout", SERVICE_UNAVAILABLE, true;
}
