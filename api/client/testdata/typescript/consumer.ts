import type { components, paths } from "./api.js";

type Path = "/api/v1/storage/destinations/{id}/files";
type Query = NonNullable<paths[Path]["get"]["parameters"]["query"]>;
type Page = paths[Path]["get"]["responses"][200]["content"]["application/json"];
type Problem = components["schemas"]["ErrorAnswer"];

// orphans returns the paths of the first orphans of a destination.
export async function orphans(address: string, headers: Record<string, string>, id: string): Promise<string[]> {
  const query: Query = { orphansOnly: true, limit: 100 };
  const path: Path = "/api/v1/storage/destinations/{id}/files";
  const url = address + path.replace("{id}", encodeURIComponent(id)) + `?orphansOnly=${query.orphansOnly}&limit=${query.limit}`;
  const response = await fetch(url, { headers });
  const body = (await response.json()) as Page | Problem;
  if (!body.success) {
    throw new Error(`${body.error.code}: ${body.error.message}`);
  }
  return body.data.files.map((file) => file.path);
}

// @ts-expect-error: the types refuse a parameter that the API does not have
export const wrong: Query = { orphans: true };
