-- Units that had left before a line was taken for something else stay counted as what they left as, and say nothing about
-- what the line is. Words alone; nothing is locked for longer than a look.

COMMENT ON COLUMN demand_lines.mapping_version IS 'The version of the variant''s mapping that the line keeps; 0 where it was mapped by its own SKU code, -1 for units that left as another SKU than the line is now.';
