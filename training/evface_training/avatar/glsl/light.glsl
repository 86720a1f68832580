uniform vec3 lamp;          // towards the lamp, head coordinates
uniform vec3 up;            // the camera's up, head coordinates
uniform vec3 eye_point;     // the camera, head coordinates
uniform float key, ambient;
float power16(float x) { x *= x; x *= x; x *= x; return x * x; }
vec3 shade(vec3 albedo, vec3 n, vec3 at, float open, float gloss) {
    vec3 v = normalize(eye_point - at);
    float facing = dot(n, lamp);
    vec3 soft = vec3(0.14, 0.07, 0.05);                 // light bleeds under the skin
    vec3 direct = max((facing + soft) / (1.0 + soft), 0.0);
    float sky = 0.78 + 0.22 * dot(n, up);
    vec3 color = albedo * (key * direct * (0.3 + 0.7 * open) + ambient * sky * open);
    float grazing = 1.0 - max(dot(n, v), 0.0);
    float rim = grazing * grazing * grazing * grazing;
    float spec = power16(max(dot(n, normalize(lamp + v)), 0.0)) * step(0.0, facing);
    return color + gloss * (key * spec + ambient * 0.4 * rim) * open;
}
