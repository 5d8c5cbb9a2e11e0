//! Evidence: rows as the database writes them (`to_jsonb`, whose keys are in one order whatever the columns' is), and
//! their hash.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Correction, Evidence, Finding, Kind, Subject};
use crate::ids::PoolId;

/// Makes a finding of what was seen.
pub(super) fn finding(
    kind: Kind,
    pool: PoolId,
    subject: Subject,
    rows: Vec<Value>,
    detail: String,
    correction: Correction,
) -> Finding {
    let about = format!("{}\n{}\n{subject}", kind.as_str(), pool.0);
    let id = format!("fnd_{}", &hex::encode(Sha256::digest(&about))[..24]);
    let mut hash = Sha256::new_with_prefix(&about);
    for row in &rows {
        hash.update(b"\n");
        hash.update(row.to_string());
    }
    let evidence = Evidence { hash: hex::encode(hash.finalize()), rows };
    Finding { id, kind, pool_id: pool, subject, detail, evidence, correction }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::SkuId;

    fn of(rows: Vec<Value>) -> Finding {
        let subject = Subject::Sku { sku_id: SkuId(7) };
        finding(Kind::BalanceDrift, PoolId(1), subject, rows, String::new(), Correction::CloseDay)
    }

    #[test]
    fn the_id_is_of_the_thing_and_the_hash_of_its_rows() {
        let (one, other) = (of(vec![json!({"a": 1, "b": 2})]), of(vec![json!({"b": 2, "a": 1})]));
        assert_eq!(one, other);
        let changed = of(vec![json!({"a": 1, "b": 3})]);
        assert_eq!(one.id, changed.id);
        assert_ne!(one.evidence.hash, changed.evidence.hash);
        let split = of(vec![json!({"a": 1}), json!({"b": 2})]);
        assert_ne!(one.evidence.hash, split.evidence.hash);
    }
}
