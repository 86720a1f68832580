uniform sampler2D paint;    // square roots of reflectance, and gloss
in vec3 at, normal, rest;
in vec4 spot;

void main() {
    vec4 texel = texture(paint, spot.xy);
    // The mouth inside: wet, red, and dark soon behind the lips.
    float depth = spot.w, mouth = step(0.02, depth);
    vec3 wet = mix(vec3(0.25, 0.07, 0.06), vec3(0.05, 0.01, 0.01), min(depth * 1.6, 1.0));
    vec3 albedo = mix(texel.rgb * texel.rgb, wet, mouth);
    float open = mix(spot.z, 0.6 - 0.55 * min(depth * 1.4, 1.0), mouth);
    result = shown(shade(albedo, normalize(normal), at, open, 0.3 * texel.a));
}
