-- Room on each page for the next versions of its rows; the next step rewrites the table with it.
ALTER TABLE lots SET (fillfactor = 80);
