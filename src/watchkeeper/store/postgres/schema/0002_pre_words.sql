-- What a record can be found and counted by besides its columns; see `store/words.py`.

ALTER TABLE record ADD COLUMN words text COLLATE "C" NOT NULL DEFAULT '';
