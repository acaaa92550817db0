import TinyQueue from 'tinyqueue';

/** Smaller comes first; what is equal in a number is told apart by the next. */
export type Key = readonly [number, number, number];

interface Place<Item> {
  readonly item: Item;
  readonly key: Key;
}

/**
 * Items in the order of keys that change while they stand in line. One whose key has grown is put right when it comes up, so
 * that changes cost nothing; one whose key has become smaller must be put in again.
 */
export class LazyQueue<Item> {
  readonly #keyOf: (item: Item) => Key | null;
  #places = new TinyQueue<Place<Item>>([], byKey);
  /** Where each item stands; its other places count for nothing. */
  readonly #placeOf = new Map<Item, Place<Item>>();
  #sizeAtBest = 0;

  /** @param keyOf null: the item does not belong in the line any more. */
  constructor(keyOf: (item: Item) => Key | null) {
    this.#keyOf = keyOf;
  }

  /** Puts in an item that is new here, or whose key may have become smaller. */
  push(item: Item): void {
    const key = this.#keyOf(item);
    const place = this.#placeOf.get(item);
    if (key === null || (place && compare(place.key, key) <= 0)) return;
    this.#stand({ item, key });
    if (this.#places.length > 2 * this.#sizeAtBest + 64) this.#tidyUp();
  }

  /** Takes out the first. */
  pop(): Item | undefined {
    for (let place = this.#places.pop(); place; place = this.#places.pop()) {
      const { item } = place;
      if (this.#placeOf.get(item) !== place) continue;
      const key = this.#keyOf(item);
      if (key !== null && compare(place.key, key) < 0) {
        this.#stand({ item, key });
        continue;
      }
      this.#placeOf.delete(item);
      if (key !== null) return item;
    }
    return undefined;
  }

  #stand(place: Place<Item>): void {
    this.#placeOf.set(place.item, place);
    this.#places.push(place);
  }

  /** Where nobody takes out, what has left the line would stay for ever. */
  #tidyUp(): void {
    for (const { item } of this.#placeOf.values()) if (this.#keyOf(item) === null) this.#placeOf.delete(item);
    this.#places = new TinyQueue([...this.#placeOf.values()], byKey);
    this.#sizeAtBest = this.#places.length;
  }
}

function byKey(a: Place<unknown>, b: Place<unknown>): number {
  return compare(a.key, b.key);
}

function compare(a: Key, b: Key): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}
