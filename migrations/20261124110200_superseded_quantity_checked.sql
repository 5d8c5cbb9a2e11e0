-- Reads and writes go on while the older rows are checked.
ALTER TABLE reservation_lines VALIDATE CONSTRAINT reservation_lines_superseded_within_released;
