-- Which shipments fulfilled a reservation line.
CREATE INDEX fulfilments_by_reservation ON fulfilments (pool_id, reservation_id, line);
