-- The comparison of every night asks which copies changed in the last days; without these it reads every copy there is.
-- Tables of the mirror alone, which waits while they are built; nobody who sells does.
CREATE INDEX products_by_change ON mirror.products (updated_at);
CREATE INDEX orders_by_change ON mirror.orders (updated_at);
CREATE INDEX recharge_customers_by_change ON mirror.recharge_customers (updated_at);
CREATE INDEX recharge_subscriptions_by_change ON mirror.recharge_subscriptions (updated_at);
CREATE INDEX recharge_charges_by_change ON mirror.recharge_charges (updated_at);
CREATE INDEX recharge_orders_by_change ON mirror.recharge_orders (updated_at);
