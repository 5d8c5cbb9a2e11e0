-- The lot came first in it.
DROP INDEX lot_transactions_one_depletion_per_day;
