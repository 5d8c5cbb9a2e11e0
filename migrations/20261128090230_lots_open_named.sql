ALTER INDEX lots_still_open RENAME TO lots_open;
