/** A stored key: only its hash is kept. */
export interface ApiKey {
  key_id: string;
  name: string;
  created_at: number;
}

export interface ApiKeys {
  count(): Promise<number>;
  /** @param hash SHA-256 of the key, as lower-case hex. */
  insert(key: { name: string; hash: string }): Promise<ApiKey>;
  /** The same if there is no key yet; answers null if there is one, however many servers ask at once. */
  insertFirst(key: { name: string; hash: string }): Promise<ApiKey | null>;
  findByHash(hash: string): Promise<ApiKey | undefined>;
}
