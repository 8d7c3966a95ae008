-- What a record can be found and counted by besides its columns; see `store/words.py`.

ALTER TABLE record ADD COLUMN words TEXT NOT NULL DEFAULT '';
